rule summarize:
    """Summarize the ensembles of predictions, point by point."""
    input:
        unpack(RULES.inputs("summarize")),
    output:
        **outputs("summarize"),
    log:
        side_file("logs", "log", "summarize"),
    benchmark:
        side_file("benchmarks", "tsv", "summarize")
    threads: threads("summarize")
    resources:
        **resources("summarize"),
    params:
        arguments=RULES.arguments("summarize"),
        lineage=RULES.digest("summarize"),
    shell:
        "wilsonvox summarize {params.arguments:q} --out {output.parquet:q}"
        " --csv {output.csv:q} > {log:q} 2>&1"
