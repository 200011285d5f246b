rule train:
    """Train one estimator on the images of one specification."""
    input:
        train=train_shards,
        validation=validation_shards,
    output:
        model=ensure(MODEL, non_empty=True),
        history=ensure(HISTORY, non_empty=True),
    log:
        "<logs>/train/{image}/{estimator}.log",
    benchmark:
        "<benchmarks>/train/{image}/{estimator}.tsv"
    # not a matter of speed only: another number of threads sums in another order, which changes
    # the weights in their sixth digit
    threads: 2
    resources:
        mem_mb=6000,
        runtime=1440,
    params:
        shards=train_words,
        words=estimator_words,
        seed=CONFIG.seed,
        # no output: Snakemake deletes those before a job runs, and a killed training goes on from it
        state=TRAINING_STATE,
        lineage=lineage("train"),
    shell:
        # a shell would die of the SIGTERM that lets the training save its state, and the job with it
        "exec wilsonvox train {params.shards:q} {params.words:q} --seed {params.seed}"
        " --threads {threads} --state {params.state:q} --history {output.history:q}"
        " --out {output.model:q} > {log:q} 2>&1"


rule evaluate:
    """Predict the shifts of one point's images."""
    input:
        model=MODEL,
        shards=point_shards,
    output:
        ensure(PREDICTIONS, non_empty=True),
    log:
        "<logs>/evaluate/{image}/{estimator}/{split}/{point}.log",
    benchmark:
        "<benchmarks>/evaluate/{image}/{estimator}/{split}/{point}.tsv"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        shards=shard_words,
        lineage=lineage("evaluate"),
    shell:
        "wilsonvox evaluate --model {input.model:q} {params.shards:q}"
        " --point {wildcards.point} --split {wildcards.split} --threads {threads}"
        " --out {output:q} > {log:q} 2>&1"


rule summarize:
    """Summarize the ensembles of predictions, point by point."""
    input:
        predictions=prediction_files,
        coefficients=rules.angular_coefficients.output,
    output:
        parquet=ensure(SUMMARY, non_empty=True),
        csv=ensure(SUMMARY_CSV, non_empty=True),
    log:
        "<logs>/summarize/{image}/{estimator}.log",
    benchmark:
        "<benchmarks>/summarize/{image}/{estimator}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        predictions=prediction_words,
        lineage=lineage("summarize"),
    shell:
        "wilsonvox summarize {params.predictions:q} --coefficients {input.coefficients:q}"
        " --out {output.parquet:q} --csv {output.csv:q} > {log:q} 2>&1"
