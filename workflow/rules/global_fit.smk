rule tabulate_observables:
    """Tabulate predictions of a set of observables, and the theory's covariance, with flavio."""
    input:
        unpack(RULES.inputs("tabulate_observables")),
    output:
        **outputs("tabulate_observables"),
    log:
        side_file("logs", "log", "tabulate_observables"),
    benchmark:
        side_file("benchmarks", "tsv", "tabulate_observables")
    threads: threads("tabulate_observables")
    resources:
        **resources("tabulate_observables"),
    params:
        arguments=RULES.arguments("tabulate_observables"),
        lineage=RULES.digest("tabulate_observables"),
    shell:
        "wilsonvox global-fit tabulate {params.arguments:q} --out {output:q} > {log:q} 2>&1"


rule fit_coefficients:
    """Fit δC9 and δC10 with one version of the χ² and one choice of hadronic polynomials."""
    input:
        unpack(RULES.inputs("fit_coefficients")),
    output:
        **outputs("fit_coefficients"),
    log:
        side_file("logs", "log", "fit_coefficients"),
    benchmark:
        side_file("benchmarks", "tsv", "fit_coefficients")
    threads: threads("fit_coefficients")
    resources:
        **resources("fit_coefficients"),
    params:
        arguments=RULES.arguments("fit_coefficients"),
        lineage=RULES.digest("fit_coefficients"),
    shell:
        "wilsonvox global-fit fit {params.arguments:q} --out {output:q} > {log:q} 2>&1"


rule measure_for_global_fit:
    """Measure δC9 of a sample with an existing estimator, to compare it with a fit."""
    input:
        unpack(RULES.inputs("measure_for_global_fit")),
    output:
        **outputs("measure_for_global_fit"),
    log:
        side_file("logs", "log", "measure_for_global_fit"),
    benchmark:
        side_file("benchmarks", "tsv", "measure_for_global_fit")
    threads: threads("measure_for_global_fit")
    resources:
        **resources("measure_for_global_fit"),
    params:
        arguments=RULES.arguments("measure_for_global_fit"),
        lineage=RULES.digest("measure_for_global_fit"),
    shell:
        "wilsonvox measure {params.arguments:q} --json {output:q} > {log:q} 2>&1"


rule train_inverse_network:
    """Train a network from observables to C9 and C10, from several random weights."""
    input:
        unpack(RULES.inputs("train_inverse_network")),
    output:
        **outputs("train_inverse_network"),
    log:
        side_file("logs", "log", "train_inverse_network"),
    benchmark:
        side_file("benchmarks", "tsv", "train_inverse_network")
    wildcard_constraints:
        **RULES.constraints("train_inverse_network"),
    threads: threads("train_inverse_network")
    resources:
        **resources("train_inverse_network"),
    params:
        arguments=RULES.arguments("train_inverse_network"),
        lineage=RULES.digest("train_inverse_network"),
    shell:
        "wilsonvox global-fit train-network {params.arguments:q} --threads {threads}"
        " --out {output:q} > {log:q} 2>&1"


rule train_gan:
    """Train a GAN of observables, C9 and C10, from several random weights, and sample from it."""
    input:
        unpack(RULES.inputs("train_gan")),
    output:
        **outputs("train_gan"),
    log:
        side_file("logs", "log", "train_gan"),
    benchmark:
        side_file("benchmarks", "tsv", "train_gan")
    wildcard_constraints:
        **RULES.constraints("train_gan"),
    threads: threads("train_gan")
    resources:
        **resources("train_gan"),
    params:
        arguments=RULES.arguments("train_gan"),
        lineage=RULES.digest("train_gan"),
    shell:
        "wilsonvox global-fit train-gan {params.arguments:q} --threads {threads}"
        " --out {output:q} > {log:q} 2>&1"
