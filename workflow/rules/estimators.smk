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
    wildcard_constraints:
        estimator=one_of(TRAINED),
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
        # no output either: it has times in it
        tensorboard=TENSORBOARD,
        lineage=lineage("train"),
    shell:
        # a shell would die of the SIGTERM that lets the training save its state, and the job with it
        "exec wilsonvox train {params.shards:q} {params.words:q} --seed {params.seed}"
        " --threads {threads} --state {params.state:q} --tensorboard {params.tensorboard:q}"
        " --history {output.history:q} --out {output.model:q} > {log:q} 2>&1"


rule train_voxel_sum:
    """Make a network that sums over voxels from the images of one specification."""
    input:
        train=train_shards,
        validation=validation_shards,
    output:
        ensure(MODEL, non_empty=True),
    log:
        "<logs>/train_voxel_sum/{image}/{estimator}.log",
    benchmark:
        "<benchmarks>/train_voxel_sum/{image}/{estimator}.tsv"
    wildcard_constraints:
        estimator=one_of(VOXEL_SUMS),
    # a second one would be idle, and may change the weights in their sixth digit
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        shards=train_words,
        words=voxel_sum_words,
        lineage=lineage("train_voxel_sum"),
    shell:
        "wilsonvox train-voxel-sum {params.shards:q} {params.words:q} --threads {threads}"
        " --out {output:q} > {log:q} 2>&1"


rule prepare_estimator:
    """Compute what an estimator that reads events needs before it sees any."""
    output:
        ensure(PREPARED, non_empty=True),
    log:
        "<logs>/prepare_estimator/{image}/{estimator}.log",
    benchmark:
        "<benchmarks>/prepare_estimator/{image}/{estimator}.tsv"
    wildcard_constraints:
        estimator=one_of(FITTED),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        words=prepare_words,
        lineage=lineage("prepare_estimator"),
    shell:
        "wilsonvox prepare {params.words:q} --out {output:q} > {log:q} 2>&1"


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
    wildcard_constraints:
        estimator=one_of(READ_IMAGES),
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


rule evaluate_events:
    """Fit the shifts to the events of one point's images."""
    input:
        model=PREPARED,
        shards=point_shards,
        events=point_events,
    output:
        ensure(PREDICTIONS, non_empty=True),
    log:
        "<logs>/evaluate_events/{image}/{estimator}/{split}/{point}.log",
    benchmark:
        "<benchmarks>/evaluate_events/{image}/{estimator}/{split}/{point}.tsv"
    wildcard_constraints:
        estimator=one_of(FITTED),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        shards=shard_words,
        events=event_words,
        lineage=lineage("evaluate_events"),
    shell:
        "wilsonvox evaluate --model {input.model:q} {params.shards:q} {params.events:q}"
        " --point {wildcards.point} --split {wildcards.split}"
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
