rule report_pages:
    """Write the report's tables: configuration, summaries, measured samples, fits, runtimes.

    Not among the targets of `all`: the runtimes differ from run to run. `make report` runs it
    anew and puts the pages, with all figures, into results/RUN/report.html.
    """
    input:
        reported_files,
    output:
        **report_pages(),
    log:
        "<logs>/report_pages.log",
    benchmark:
        "<benchmarks>/report_pages.tsv"
    threads: threads("report_pages")
    resources:
        **resources("report_pages"),
    params:
        run=run_folder,
        configuration=CONFIG.model_dump_json(exclude_unset=True),
        out=report_folder,
    shell:
        "wilsonvox report --run {params.run:q} --configuration {params.configuration:q}"
        " --out {params.out:q} > {log:q} 2>&1"
