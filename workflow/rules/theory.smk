rule angular_coefficients:
    """Tabulate the angular coefficients J_i on a (q2, m_kpi) grid."""
    output:
        ensure("<results>/theory/angular_coefficients.npz", non_empty=True),
    log:
        "<logs>/angular_coefficients.log",
    benchmark:
        "<benchmarks>/angular_coefficients.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        decay=decay_words,
        lineage=lineage("angular_coefficients"),
    shell:
        "wilsonvox coefficients {params.decay:q} --out {output:q} > {log:q} 2>&1"


rule image_information:
    """Tell what the images of one specification keep of the events' information on δC9."""
    input:
        coefficients=rules.angular_coefficients.output,
    output:
        ensure(INFORMATION, non_empty=True),
    log:
        "<logs>/image_information/{image}.log",
    benchmark:
        "<benchmarks>/image_information/{image}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        points=information_words,
        words=image_words,
        lineage=lineage("image_information"),
    shell:
        "wilsonvox information --coefficients {input.coefficients:q} {params.points:q}"
        " {params.words:q} --out {output:q} > {log:q} 2>&1"
