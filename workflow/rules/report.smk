rule report_pages:
    """Write the report's tables: configuration, summaries, measured samples, runtimes.

    Not among the targets of `all`: the runtimes differ from run to run. `make report` runs it
    anew and puts the pages, with all figures, into results/RUN/report.html.
    """
    input:
        figure_files,
        summary_files,
        measurement_files,
    output:
        configuration=report(
            ensure("<results>/report/configuration.html", non_empty=True),
            caption="../report/configuration.rst",
            category="Configuration",
            labels={"table": "all values, and samples"},
        ),
        summary=report(
            ensure("<results>/report/summary.html", non_empty=True),
            caption="../report/summary.rst",
            category="Summary",
            labels={"table": "estimators, every point"},
        ),
        measurements=report(
            ensure("<results>/report/measurements.html", non_empty=True),
            caption="../report/measurements.rst",
            category="Summary",
            labels={"table": "measured samples"},
        ),
        runtimes=report(
            ensure("<results>/report/runtimes.html", non_empty=True),
            caption="../report/runtimes.rst",
            category="Runtimes",
            labels={"table": "time and memory by rule"},
        ),
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
