rule write_configuration:
    """Write the values that the configuration names, wherever they came from, to one file."""
    output:
        ensure("<results>/configuration.yaml", non_empty=True),
    log:
        "<logs>/write_configuration.log",
    benchmark:
        "<benchmarks>/write_configuration.tsv"
    threads: threads("write_configuration")
    resources:
        **resources("write_configuration"),
    params:
        configuration=CONFIG.model_dump_json(exclude_unset=True),
    shell:
        "wilsonvox configuration --configuration {params.configuration:q} --out {output:q}"
        " > {log:q} 2>&1"


rule write_report:
    """Write the report of a run that is going on, which this very run keeps locked."""
    input:
        rules.report_pages.output,
        reported_files,
        configuration=rules.write_configuration.output,
        stylesheet=str(checkout() / "workflow/report/style.css"),
    output:
        ensure("<results>/report.html", non_empty=True),
    log:
        "<logs>/write_report.log",
    benchmark:
        "<benchmarks>/write_report.tsv"
    threads: threads("write_report")
    resources:
        **resources("write_report"),
    params:
        snakefile=workflow.main_snakefile,
    shell:
        "snakemake --snakefile {params.snakefile:q} --configfile {input.configuration:q} --nolock"
        " --profile none --report {output:q} --report-stylesheet {input.stylesheet:q}"
        " -- report_pages > {log:q} 2>&1"


rule run_crate:
    """Pack the run into an RO-Crate: results, configuration, report, code and records."""
    input:
        reported_files,
        target("model_files"),
        [CONFIG.samples_table] if CONFIG.reads_samples else [],
        configuration=rules.write_configuration.output,
        report=rules.write_report.output,
    output:
        ensure(result(f"{CONFIG.run}.crate.zip"), non_empty=True),
    log:
        "<logs>/run_crate.log",
    benchmark:
        "<benchmarks>/run_crate.tsv"
    threads: threads("run_crate")
    resources:
        **resources("run_crate"),
    params:
        run=RUN.folder,
        # the crate is packed again after an edit of the code that goes into it
        code=sources_digest(),
    shell:
        "wilsonvox crate --run {params.run:q} --configuration {input.configuration:q}"
        " --report {input.report:q} --out {output:q} > {log:q} 2>&1"
