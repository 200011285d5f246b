rule angular_coefficients:
    """Tabulate the angular coefficients J_i on a (q2, m_kpi) grid."""
    output:
        **outputs("angular_coefficients"),
    log:
        side_file("logs", "log", "angular_coefficients"),
    benchmark:
        side_file("benchmarks", "tsv", "angular_coefficients")
    threads: threads("angular_coefficients")
    resources:
        **resources("angular_coefficients"),
    params:
        arguments=RULES.arguments("angular_coefficients"),
        lineage=RULES.digest("angular_coefficients"),
    shell:
        "wilsonvox coefficients {params.arguments:q} --out {output:q} > {log:q} 2>&1"


rule image_information:
    """Compute how much of the information of the events on δC9 the images of a specification keep."""
    input:
        unpack(RULES.inputs("image_information")),
    output:
        **outputs("image_information"),
    log:
        side_file("logs", "log", "image_information"),
    benchmark:
        side_file("benchmarks", "tsv", "image_information")
    threads: threads("image_information")
    resources:
        **resources("image_information"),
    params:
        arguments=RULES.arguments("image_information"),
        lineage=RULES.digest("image_information"),
    shell:
        "wilsonvox information {params.arguments:q} --out {output:q} > {log:q} 2>&1"
