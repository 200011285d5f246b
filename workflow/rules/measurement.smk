rule measure:
    """Measure the shift of a sample's images, with intervals from the ensembles."""
    input:
        model=MODEL,
        predictions=prediction_files,
        summary=SUMMARY,
        shard=SAMPLE_SHARD,
    output:
        ensure(MEASUREMENT, non_empty=True),
    log:
        "<logs>/measure/{image}/{estimator}/{sample}.log",
    benchmark:
        "<benchmarks>/measure/{image}/{estimator}/{sample}.tsv"
    wildcard_constraints:
        estimator=one_of(READ_IMAGES),
    threads: 1
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        run=run_folder,
        lineage=lineage("measure"),
    shell:
        "wilsonvox measure --run {params.run:q} --estimator {wildcards.estimator}"
        " --image {wildcards.image} --shard {input.shard:q} --json {output:q} > {log:q} 2>&1"


rule measure_events:
    """Measure the shift of a sample with an estimator that reads events."""
    input:
        model=PREPARED,
        predictions=prediction_files,
        summary=SUMMARY,
        events=SAMPLE_EVENTS,
    output:
        ensure(MEASUREMENT, non_empty=True),
    log:
        "<logs>/measure_events/{image}/{estimator}/{sample}.log",
    benchmark:
        "<benchmarks>/measure_events/{image}/{estimator}/{sample}.tsv"
    wildcard_constraints:
        estimator=one_of(FITTED),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        run=run_folder,
        lineage=lineage("measure_events"),
    shell:
        "wilsonvox measure --run {params.run:q} --estimator {wildcards.estimator}"
        " --image {wildcards.image} --events {input.events:q} --json {output:q} > {log:q} 2>&1"
