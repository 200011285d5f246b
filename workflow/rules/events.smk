rule generate_events:
    """Generate the events of one campaign: one point, one seed, one file."""
    input:
        unpack(RULES.inputs("generate_events")),
    output:
        **outputs("generate_events"),
    log:
        side_file("logs", "log", "generate_events"),
    benchmark:
        side_file("benchmarks", "tsv", "generate_events")
    threads: threads("generate_events")
    resources:
        **resources("generate_events"),
    params:
        arguments=RULES.arguments("generate_events"),
        lineage=RULES.digest("generate_events"),
    shell:
        "wilsonvox generate {params.arguments:q} --out {output:q} > {log:q} 2>&1"


rule ingest_events:
    """Read one sample of the table, one or several external files, into an event file."""
    input:
        unpack(RULES.inputs("ingest_events")),
    output:
        **outputs("ingest_events"),
    log:
        side_file("logs", "log", "ingest_events"),
    benchmark:
        side_file("benchmarks", "tsv", "ingest_events")
    threads: threads("ingest_events")
    resources:
        **resources("ingest_events"),
    params:
        arguments=RULES.arguments("ingest_events"),
        lineage=RULES.digest("ingest_events"),
    shell:
        "wilsonvox ingest {params.arguments:q} --out {output:q} > {log:q} 2>&1"
