rule train:
    """Train one estimator on the images of one specification."""
    input:
        unpack(RULES.inputs("train")),
    output:
        **outputs("train"),
    log:
        side_file("logs", "log", "train"),
    benchmark:
        side_file("benchmarks", "tsv", "train")
    wildcard_constraints:
        **RULES.constraints("train"),
    # not only a matter of speed: another number of threads sums in another order, which changes
    # the weights in their sixth digit
    threads: threads("train")
    resources:
        **resources("train"),
    params:
        arguments=RULES.arguments("train"),
        lineage=RULES.digest("train"),
    shell:
        # a shell would die of the SIGTERM that lets the training save its state, and the job with it
        "exec wilsonvox train {params.arguments:q} --threads {threads}"
        " --history {output.history:q} --out {output.model:q} > {log:q} 2>&1"


rule train_voxel_sum:
    """Fit a voxel-sum to the images of one specification."""
    input:
        unpack(RULES.inputs("train_voxel_sum")),
    output:
        **outputs("train_voxel_sum"),
    log:
        side_file("logs", "log", "train_voxel_sum"),
    benchmark:
        side_file("benchmarks", "tsv", "train_voxel_sum")
    wildcard_constraints:
        **RULES.constraints("train_voxel_sum"),
    # a second one would be idle, and may change the weights in their sixth digit
    threads: threads("train_voxel_sum")
    resources:
        **resources("train_voxel_sum"),
    params:
        arguments=RULES.arguments("train_voxel_sum"),
        lineage=RULES.digest("train_voxel_sum"),
    shell:
        "wilsonvox train-voxel-sum {params.arguments:q} --threads {threads}"
        " --out {output:q} > {log:q} 2>&1"


rule suggest_trials:
    """Suggest the settings of one round of trials from the results of the rounds before."""
    input:
        unpack(RULES.inputs("suggest_trials")),
    output:
        **outputs("suggest_trials"),
    log:
        side_file("logs", "log", "suggest_trials"),
    benchmark:
        side_file("benchmarks", "tsv", "suggest_trials")
    wildcard_constraints:
        **RULES.constraints("suggest_trials"),
    threads: threads("suggest_trials")
    resources:
        **resources("suggest_trials"),
    params:
        arguments=RULES.arguments("suggest_trials"),
        lineage=RULES.digest("suggest_trials"),
    shell:
        "wilsonvox scan suggest {params.arguments:q} --out {output:q} > {log:q} 2>&1"


rule train_trial:
    """Train one network of a scan, with the settings that were suggested for it."""
    input:
        unpack(RULES.inputs("train_trial")),
    output:
        **outputs("train_trial"),
    log:
        side_file("logs", "log", "train_trial"),
    benchmark:
        side_file("benchmarks", "tsv", "train_trial")
    wildcard_constraints:
        **RULES.constraints("train_trial"),
    # one thread each: the trials of a round are trained at the same time
    threads: threads("train_trial")
    resources:
        **resources("train_trial"),
    params:
        arguments=RULES.arguments("train_trial"),
        lineage=RULES.digest("train_trial"),
    shell:
        # as in the rule train
        "exec wilsonvox scan train {params.arguments:q} --threads {threads}"
        " --out {output:q} > {log:q} 2>&1"


rule train_trial_voxel_sum:
    """Fit one voxel-sum of a scan, with the settings that were suggested for it."""
    input:
        unpack(RULES.inputs("train_trial_voxel_sum")),
    output:
        **outputs("train_trial_voxel_sum"),
    log:
        side_file("logs", "log", "train_trial_voxel_sum"),
    benchmark:
        side_file("benchmarks", "tsv", "train_trial_voxel_sum")
    wildcard_constraints:
        **RULES.constraints("train_trial_voxel_sum"),
    threads: threads("train_trial_voxel_sum")
    resources:
        **resources("train_trial_voxel_sum"),
    params:
        arguments=RULES.arguments("train_trial_voxel_sum"),
        lineage=RULES.digest("train_trial_voxel_sum"),
    shell:
        "wilsonvox scan train {params.arguments:q} --threads {threads}"
        " --out {output:q} > {log:q} 2>&1"


rule collect_trials:
    """Compare all trials of a scan, and write them as a study of Optuna."""
    input:
        unpack(RULES.inputs("collect_trials")),
    output:
        **outputs("collect_trials"),
    log:
        side_file("logs", "log", "collect_trials"),
    benchmark:
        side_file("benchmarks", "tsv", "collect_trials")
    wildcard_constraints:
        **RULES.constraints("collect_trials"),
    threads: threads("collect_trials")
    resources:
        **resources("collect_trials"),
    params:
        arguments=RULES.arguments("collect_trials"),
        lineage=RULES.digest("collect_trials"),
    shell:
        "wilsonvox scan collect {params.arguments:q} --csv {output.csv:q}"
        " --study {output.study:q} --out {output.json:q} > {log:q} 2>&1"
