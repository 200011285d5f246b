# The entry: `snakemake` in the checkout finds this file. The workflow itself is in workflow/.
include: "workflow/Snakefile"


# an included rule is never the default target, so this one stands in for `all`
rule default:
    default_target: True
    input:
        rules.all.input,
