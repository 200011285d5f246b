rule prepare_estimator:
    """Compute the integrals and tables that an estimator of events needs."""
    output:
        **outputs("prepare_estimator"),
    log:
        side_file("logs", "log", "prepare_estimator"),
    benchmark:
        side_file("benchmarks", "tsv", "prepare_estimator")
    wildcard_constraints:
        **RULES.constraints("prepare_estimator"),
    threads: threads("prepare_estimator")
    resources:
        **resources("prepare_estimator"),
    params:
        arguments=RULES.arguments("prepare_estimator"),
        lineage=RULES.digest("prepare_estimator"),
    shell:
        "wilsonvox prepare {params.arguments:q} --out {output:q} > {log:q} 2>&1"


rule evaluate:
    """Predict the shifts of one point's images."""
    input:
        unpack(RULES.inputs("evaluate")),
    output:
        **outputs("evaluate"),
    log:
        side_file("logs", "log", "evaluate"),
    benchmark:
        side_file("benchmarks", "tsv", "evaluate")
    wildcard_constraints:
        **RULES.constraints("evaluate"),
    threads: threads("evaluate")
    resources:
        **resources("evaluate"),
    params:
        arguments=RULES.arguments("evaluate"),
        lineage=RULES.digest("evaluate"),
    shell:
        "wilsonvox evaluate {params.arguments:q} --threads {threads}"
        " --out {output:q} > {log:q} 2>&1"


rule evaluate_events:
    """Fit the shifts to the events of one point's images."""
    input:
        unpack(RULES.inputs("evaluate_events")),
    output:
        **outputs("evaluate_events"),
    log:
        side_file("logs", "log", "evaluate_events"),
    benchmark:
        side_file("benchmarks", "tsv", "evaluate_events")
    wildcard_constraints:
        **RULES.constraints("evaluate_events"),
    threads: threads("evaluate_events")
    resources:
        **resources("evaluate_events"),
    params:
        arguments=RULES.arguments("evaluate_events"),
        lineage=RULES.digest("evaluate_events"),
    shell:
        "wilsonvox evaluate {params.arguments:q} --out {output:q} > {log:q} 2>&1"
