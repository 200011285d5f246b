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
