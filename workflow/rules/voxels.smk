rule voxelize:
    """Bin one campaign's events into voxel images."""
    input:
        events=EVENTS,
    output:
        ensure(SHARD, non_empty=True),
    log:
        "<logs>/voxelize/{image}/{split}/{point}/{campaign}.log",
    benchmark:
        "<benchmarks>/voxelize/{image}/{split}/{point}/{campaign}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        words=image_words,
        n_images=n_images,
        lineage=lineage("voxelize"),
    shell:
        "wilsonvox voxelize --events {input.events:q} {params.words:q} --images {params.n_images}"
        " --out {output:q} > {log:q} 2>&1"


rule voxelize_sample:
    """Bin a sample's events into as many voxel images as they fill."""
    input:
        events=SAMPLE_EVENTS,
    output:
        ensure(SAMPLE_SHARD, non_empty=True),
    log:
        "<logs>/voxelize_sample/{image}/{sample}.log",
    benchmark:
        "<benchmarks>/voxelize_sample/{image}/{sample}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        words=image_words,
        lineage=lineage("voxelize_sample"),
    shell:
        "wilsonvox voxelize --events {input.events:q} {params.words:q}"
        " --out {output:q} > {log:q} 2>&1"
