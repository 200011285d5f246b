rule report_pages:
    """Write the report's tables: configuration, summaries, measured samples, fits, runtimes.

    Not among the targets of `all`: the runtimes differ from run to run. `make report` runs it
    anew and puts the pages, with all figures, into results/RUN/report.html.
    """
    input:
        reported_files,
    output:
        **result_pages(),
        configuration=report_page(
            "configuration", "Configuration", "all values, and samples"
        ),
        runtimes=report_page("runtimes", "Runtimes", "time and memory by rule"),
    log:
        "<logs>/report_pages.log",
    benchmark:
        "<benchmarks>/report_pages.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        run=run_folder,
        configuration=configuration_json,
        out=report_folder,
    shell:
        "wilsonvox report --run {params.run:q} --configuration {params.configuration:q}"
        " --out {params.out:q} > {log:q} 2>&1"
