# One rule per figure of the table: `wilsonvox.stages.figures` has the entries.
for name, figure in STAGES.items():
    if figure.report is None:
        continue

    rule:
        """Draw one figure, as PDF and PNG."""
        name:
            name
        input:
            unpack(RULES.inputs(name)),
        output:
            **figure_outputs(name),
        log:
            side_file("logs", "log", name),
        benchmark:
            side_file("benchmarks", "tsv", name)
        wildcard_constraints:
            **RULES.constraints(name),
        threads: threads(name)
        resources:
            **resources(name),
        params:
            figure=figure.command,
            arguments=RULES.arguments(name),
            lineage=RULES.digest(name),
        shell:
            "wilsonvox plot {params.figure} {params.arguments:q}"
            " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"
