rule suggest_trials:
    """Suggest the settings of one round's trials from the results of the rounds before."""
    input:
        earlier=earlier_trials,
    output:
        ensure(SUGGESTIONS, non_empty=True),
    log:
        "<logs>/suggest_trials/{image}/{estimator}/{round}.log",
    benchmark:
        "<benchmarks>/suggest_trials/{image}/{estimator}/{round}.tsv"
    wildcard_constraints:
        estimator=one_of(CONFIG.scan),
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        words=suggest_words,
        lineage=lineage("suggest_trials"),
    shell:
        "wilsonvox scan suggest {params.words:q} --out {output:q} > {log:q} 2>&1"


rule train_trial:
    """Train one network of a scan, with the settings that were suggested for it."""
    input:
        train=train_shards,
        validation=validation_shards,
        suggestions=trial_suggestions,
    output:
        ensure(TRIAL, non_empty=True),
    log:
        "<logs>/train_trial/{image}/{estimator}/{trial}.log",
    benchmark:
        "<benchmarks>/train_trial/{image}/{estimator}/{trial}.tsv"
    wildcard_constraints:
        estimator=one_of([name for name in CONFIG.scan if name in TRAINED]),
    # one each, so that the trials of a round are trained beside each other
    threads: 1
    resources:
        mem_mb=3500,
        runtime=1440,
    params:
        shards=train_words,
        seed=CONFIG.seed,
        # no outputs: a trial whose loss is not finite has no model
        model=TRIAL_MODEL,
        history=TRIAL_HISTORY,
        state=TRIAL_STATE,
        lineage=lineage("train_trial"),
    shell:
        # as in the rule train
        "exec wilsonvox scan train {params.shards:q} --estimator {wildcards.estimator:q}"
        " --suggestions {input.suggestions:q} --trial {wildcards.trial}"
        " --seed {params.seed} --threads {threads} --state {params.state:q}"
        " --history {params.history:q} --model {params.model:q}"
        " --out {output:q} > {log:q} 2>&1"


rule train_trial_voxel_sum:
    """Make one voxel-sum of a scan, with the settings that were suggested for it."""
    input:
        train=train_shards,
        validation=validation_shards,
        suggestions=trial_suggestions,
    output:
        ensure(TRIAL, non_empty=True),
    log:
        "<logs>/train_trial_voxel_sum/{image}/{estimator}/{trial}.log",
    benchmark:
        "<benchmarks>/train_trial_voxel_sum/{image}/{estimator}/{trial}.tsv"
    wildcard_constraints:
        estimator=one_of([name for name in CONFIG.scan if name in VOXEL_SUMS]),
    threads: 1
    resources:
        mem_mb=3500,
        runtime=240,
    params:
        shards=train_words,
        model=TRIAL_MODEL,
        lineage=lineage("train_trial_voxel_sum"),
    shell:
        "wilsonvox scan train {params.shards:q} --estimator {wildcards.estimator:q}"
        " --suggestions {input.suggestions:q} --trial {wildcards.trial}"
        " --threads {threads} --model {params.model:q}"
        " --out {output:q} > {log:q} 2>&1"


rule collect_trials:
    """Compare all trials of a scan, and write them as a study of Optuna."""
    input:
        suggestions=all_suggestions,
        trials=all_trials,
    output:
        json=ensure(SCAN, non_empty=True),
        csv=ensure(SCAN_CSV, non_empty=True),
        study=ensure(STUDY, non_empty=True),
    log:
        "<logs>/collect_trials/{image}/{estimator}.log",
    benchmark:
        "<benchmarks>/collect_trials/{image}/{estimator}.tsv"
    wildcard_constraints:
        estimator=one_of(CONFIG.scan),
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        words=collect_words,
        lineage=lineage("collect_trials"),
    shell:
        "wilsonvox scan collect {params.words:q} --csv {output.csv:q}"
        " --study {output.study:q} --out {output.json:q} > {log:q} 2>&1"


rule plot_scan:
    """Draw the trials of a scan beside each other."""
    input:
        SCAN,
    output:
        pdf=ensure("<results>/figures/{image}/{estimator}/scan.pdf", non_empty=True),
        png=report(
            ensure("<results>/figures/{image}/{estimator}/scan.png", non_empty=True),
            caption="../report/scan.rst",
            category="Training",
            subcategory="{image}",
            labels={"figure": "scan", "image": "{image}", "estimator": "{estimator}"},
        ),
    log:
        "<logs>/plot_scan/{image}/{estimator}.log",
    benchmark:
        "<benchmarks>/plot_scan/{image}/{estimator}.tsv"
    wildcard_constraints:
        estimator=one_of(CONFIG.scan),
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        lineage=lineage("plot_scan"),
    shell:
        "wilsonvox plot scan --scan {input:q}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"
