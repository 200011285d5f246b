def report_pages():
    """HTML pages of the report, with their captions."""
    return {
        name: report(
            ensure(result(f"report/{name}.html"), non_empty=True),
            caption=f"../report/{name}.rst",
            category=category,
            labels={"table": table},
        )
        for name, category, table in targets.report_pages(RUN)
    }


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
        run=RUN.folder,
        configuration=CONFIG.model_dump_json(exclude_unset=True),
        out=f"{RUN.folder}/report",
    shell:
        "wilsonvox report --run {params.run:q} --configuration {params.configuration:q}"
        " --out {params.out:q} > {log:q} 2>&1"
