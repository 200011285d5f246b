rule measure:
    """Measure the shift of a sample's images, with intervals from the ensembles."""
    input:
        unpack(RULES.inputs("measure")),
    output:
        **outputs("measure"),
    log:
        side_file("logs", "log", "measure"),
    benchmark:
        side_file("benchmarks", "tsv", "measure")
    wildcard_constraints:
        **RULES.constraints("measure"),
    threads: threads("measure")
    resources:
        **resources("measure"),
    params:
        arguments=RULES.arguments("measure"),
        lineage=RULES.digest("measure"),
    shell:
        "wilsonvox measure {params.arguments:q} --json {output:q} > {log:q} 2>&1"


rule measure_events:
    """Measure the shift of a sample with an estimator that reads events."""
    input:
        unpack(RULES.inputs("measure_events")),
    output:
        **outputs("measure_events"),
    log:
        side_file("logs", "log", "measure_events"),
    benchmark:
        side_file("benchmarks", "tsv", "measure_events")
    wildcard_constraints:
        **RULES.constraints("measure_events"),
    threads: threads("measure_events")
    resources:
        **resources("measure_events"),
    params:
        arguments=RULES.arguments("measure_events"),
        lineage=RULES.digest("measure_events"),
    shell:
        "wilsonvox measure {params.arguments:q} --json {output:q} > {log:q} 2>&1"
