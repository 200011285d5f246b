rule voxelize:
    """Bin one campaign's events into voxel images."""
    input:
        unpack(RULES.inputs("voxelize")),
    output:
        **outputs("voxelize"),
    log:
        side_file("logs", "log", "voxelize"),
    benchmark:
        side_file("benchmarks", "tsv", "voxelize")
    threads: threads("voxelize")
    resources:
        **resources("voxelize"),
    params:
        arguments=RULES.arguments("voxelize"),
        lineage=RULES.digest("voxelize"),
    shell:
        "wilsonvox voxelize {params.arguments:q} --out {output:q} > {log:q} 2>&1"


rule voxelize_sample:
    """Bin a sample's events into as many voxel images as they fill."""
    input:
        unpack(RULES.inputs("voxelize_sample")),
    output:
        **outputs("voxelize_sample"),
    log:
        side_file("logs", "log", "voxelize_sample"),
    benchmark:
        side_file("benchmarks", "tsv", "voxelize_sample")
    threads: threads("voxelize_sample")
    resources:
        **resources("voxelize_sample"),
    params:
        arguments=RULES.arguments("voxelize_sample"),
        lineage=RULES.digest("voxelize_sample"),
    shell:
        "wilsonvox voxelize {params.arguments:q} --out {output:q} > {log:q} 2>&1"
