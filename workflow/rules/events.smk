rule generate_events:
    """Generate the events of one campaign: one point, one seed, one file."""
    input:
        coefficients=rules.angular_coefficients.output,
    output:
        temp_unless_kept(ensure(EVENTS, non_empty=True)),
    log:
        "<logs>/generate_events/{split}/{point}/{campaign}.log",
    benchmark:
        "<benchmarks>/generate_events/{split}/{point}/{campaign}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        words=generate_words,
        lineage=lineage("generate_events"),
    shell:
        "wilsonvox generate --point {wildcards.point} --split {wildcards.split}"
        " --campaign {wildcards.campaign} {params.words:q}"
        " --coefficients {input.coefficients:q} --out {output:q} > {log:q} 2>&1"


rule ingest_events:
    """Read one sample of the table, one or several external files, into an event file."""
    input:
        sample_files,
    output:
        ensure(SAMPLE_EVENTS, non_empty=True),
    log:
        "<logs>/ingest_events/{sample}.log",
    benchmark:
        "<benchmarks>/ingest_events/{sample}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        words=ingest_words,
        lineage=lineage("ingest_events"),
    shell:
        "wilsonvox ingest {params.words:q} --out {output:q} > {log:q} 2>&1"
