rule tabulate_observables:
    """Tabulate predictions of a set of observables, and the theory's covariance, with flavio."""
    input:
        observables_file,
    output:
        ensure(PREDICTION_TABLE, non_empty=True),
    log:
        "<logs>/tabulate_observables/{observables}.log",
    benchmark:
        "<benchmarks>/tabulate_observables/{observables}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        words=tabulate_words,
        seed=CONFIG.seed,
        lineage=lineage("tabulate_observables"),
    shell:
        "wilsonvox global-fit tabulate {params.words:q} --seed {params.seed}"
        " --out {output:q} > {log:q} 2>&1"


rule fit_coefficients:
    """Fit δC9 and δC10 with one version of the χ² and one choice of hadronic polynomials."""
    input:
        PREDICTION_TABLE,
    output:
        ensure(COEFFICIENT_FIT, non_empty=True),
    log:
        "<logs>/fit_coefficients/{observables}/{version}_{hadronic}.log",
    benchmark:
        "<benchmarks>/fit_coefficients/{observables}/{version}_{hadronic}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=20,
    params:
        words=fit_words,
        lineage=lineage("fit_coefficients"),
    shell:
        "wilsonvox global-fit fit --table {input:q} --version {wildcards.version}"
        " --hadronic {wildcards.hadronic} {params.words:q} --out {output:q} > {log:q} 2>&1"


rule measure_for_global_fit:
    """Measure δC9 of a sample with an estimator that is there already, to show it beside a fit."""
    input:
        events=measured_events,
        estimator=estimator_files,
    output:
        ensure(SHOWN_MEASUREMENT, non_empty=True),
    log:
        "<logs>/measure_for_global_fit.log",
    benchmark:
        "<benchmarks>/measure_for_global_fit.tsv"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        words=measured_words,
        lineage=lineage("measure_for_global_fit"),
    shell:
        "wilsonvox measure {params.words:q} --events {input.events:q}"
        " --json {output:q} > {log:q} 2>&1"


rule plot_global_fit_observables:
    """Draw the observables by bin: measured, without shifts, and at the minimum of a fit."""
    input:
        table=PREDICTION_TABLE,
        fit=shown_fit,
    output:
        pdf=ensure(
            "<results>/figures/global_fit/{observables}/observables.pdf",
            non_empty=True,
        ),
        png=report(
            ensure(
                "<results>/figures/global_fit/{observables}/observables.png",
                non_empty=True,
            ),
            caption="../report/global_fit_observables.rst",
            category="Global fit",
            subcategory="{observables}",
            labels={"figure": "observables", "observables": "{observables}"},
        ),
    log:
        "<logs>/plot_global_fit_observables/{observables}.log",
    benchmark:
        "<benchmarks>/plot_global_fit_observables/{observables}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        lineage=lineage("plot_global_fit_observables"),
    shell:
        "wilsonvox plot global-fit-observables --table {input.table:q} --fit {input.fit:q}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"


rule plot_global_fit_contours:
    """Draw contours in the plane of δC9 and δC10, and answers of learning machines."""
    input:
        fits=coefficient_fits,
        answers=machine_answers,
        measurement=shown_measurement,
    output:
        pdf=ensure(
            "<results>/figures/global_fit/{observables}/contours.pdf", non_empty=True
        ),
        png=report(
            ensure(
                "<results>/figures/global_fit/{observables}/contours.png",
                non_empty=True,
            ),
            caption="../report/global_fit_contours.rst",
            category="Global fit",
            subcategory="{observables}",
            labels={"figure": "contours", "observables": "{observables}"},
        ),
    log:
        "<logs>/plot_global_fit_contours/{observables}.log",
    benchmark:
        "<benchmarks>/plot_global_fit_contours/{observables}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        words=contour_words,
        lineage=lineage("plot_global_fit_contours"),
    shell:
        "wilsonvox plot global-fit-contours {params.words:q}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"


rule train_inverse_network:
    """Train a network from observables to C9 and C10, from several random weights."""
    input:
        PREDICTION_TABLE,
    output:
        ensure(NETWORK_ANSWERS, non_empty=True),
    log:
        "<logs>/train_inverse_network/{observables}/{machine}.log",
    benchmark:
        "<benchmarks>/train_inverse_network/{observables}/{machine}.tsv"
    wildcard_constraints:
        machine=one_of(INVERSE_NETWORKS),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        words=network_words,
        seed=CONFIG.seed,
        lineage=lineage("train_inverse_network"),
    shell:
        "wilsonvox global-fit train-network --table {input:q} {params.words:q}"
        " --seed {params.seed} --threads {threads} --out {output:q} > {log:q} 2>&1"


rule train_gan:
    """Train a GAN of observables, C9 and C10, from several random weights, and sample from it."""
    input:
        PREDICTION_TABLE,
    output:
        ensure(GAN_ANSWERS, non_empty=True),
    log:
        "<logs>/train_gan/{observables}/{machine}.log",
    benchmark:
        "<benchmarks>/train_gan/{observables}/{machine}.tsv"
    wildcard_constraints:
        machine=one_of(GANS),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        words=gan_words,
        seed=CONFIG.seed,
        lineage=lineage("train_gan"),
    shell:
        "wilsonvox global-fit train-gan --table {input:q} {params.words:q}"
        " --seed {params.seed} --threads {threads} --out {output:q} > {log:q} 2>&1"


rule plot_global_fit_training_sets:
    """Draw the distributions of χ² in what machines learned from."""
    input:
        machine_answers,
    output:
        pdf=ensure(
            "<results>/figures/global_fit/{observables}/training_sets.pdf",
            non_empty=True,
        ),
        png=report(
            ensure(
                "<results>/figures/global_fit/{observables}/training_sets.png",
                non_empty=True,
            ),
            caption="../report/global_fit_training_sets.rst",
            category="Global fit",
            subcategory="{observables}",
            labels={"figure": "training sets", "observables": "{observables}"},
        ),
    log:
        "<logs>/plot_global_fit_training_sets/{observables}.log",
    benchmark:
        "<benchmarks>/plot_global_fit_training_sets/{observables}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        words=answer_words,
        lineage=lineage("plot_global_fit_training_sets"),
    shell:
        "wilsonvox plot global-fit-training-sets {params.words:q}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"


rule plot_global_fit_best_sample:
    """Draw the observables by bin: measured, and the best samples of a learning machine."""
    input:
        table=PREDICTION_TABLE,
        answers=one_machine_answers,
    output:
        pdf=ensure(f"{LEARNING_FIGURE}/best_sample.pdf", non_empty=True),
        png=report(
            ensure(f"{LEARNING_FIGURE}/best_sample.png", non_empty=True),
            caption="../report/global_fit_best_sample.rst",
            category="Global fit",
            subcategory="{observables}",
            labels={
                "figure": "best sample",
                "observables": "{observables}",
                "machine": "{machine}",
            },
        ),
    log:
        "<logs>/plot_global_fit_best_sample/{observables}/{machine}.log",
    benchmark:
        "<benchmarks>/plot_global_fit_best_sample/{observables}/{machine}.tsv"
    wildcard_constraints:
        machine=one_of({**INVERSE_NETWORKS, **GANS}),
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        lineage=lineage("plot_global_fit_best_sample"),
    shell:
        "wilsonvox plot global-fit-best-sample --table {input.table:q}"
        " --answers {input.answers:q} --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"


rule plot_global_fit_network:
    """Draw the losses of a network from all its starts, and the answers."""
    input:
        NETWORK_ANSWERS,
    output:
        pdf=ensure(f"{LEARNING_FIGURE}/losses.pdf", non_empty=True),
        png=report(
            ensure(f"{LEARNING_FIGURE}/losses.png", non_empty=True),
            caption="../report/global_fit_network.rst",
            category="Global fit",
            subcategory="{observables}",
            labels={
                "figure": "losses",
                "observables": "{observables}",
                "machine": "{machine}",
            },
        ),
    log:
        "<logs>/plot_global_fit_network/{observables}/{machine}.log",
    benchmark:
        "<benchmarks>/plot_global_fit_network/{observables}/{machine}.tsv"
    wildcard_constraints:
        machine=one_of(INVERSE_NETWORKS),
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        lineage=lineage("plot_global_fit_network"),
    shell:
        "wilsonvox plot global-fit-network --answers {input:q}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"


rule plot_global_fit_posterior:
    """Draw the density of C9 and C10 that networks predict, beside contours of the χ²."""
    input:
        answers=NETWORK_ANSWERS,
        fit=learned_fit,
    output:
        pdf=ensure(f"{LEARNING_FIGURE}/posterior.pdf", non_empty=True),
        png=report(
            ensure(f"{LEARNING_FIGURE}/posterior.png", non_empty=True),
            caption="../report/global_fit_posterior.rst",
            category="Global fit",
            subcategory="{observables}",
            labels={
                "figure": "posterior",
                "observables": "{observables}",
                "machine": "{machine}",
            },
        ),
    log:
        "<logs>/plot_global_fit_posterior/{observables}/{machine}.log",
    benchmark:
        "<benchmarks>/plot_global_fit_posterior/{observables}/{machine}.tsv"
    wildcard_constraints:
        machine=one_of(MIXTURES),
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        lineage=lineage("plot_global_fit_posterior"),
    shell:
        "wilsonvox plot global-fit-posterior --answers {input.answers:q} --fit {input.fit:q}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"


rule plot_global_fit_gan:
    """Draw losses, accuracy and samples of a GAN from all its starts."""
    input:
        GAN_ANSWERS,
    output:
        pdf=ensure(f"{LEARNING_FIGURE}/training.pdf", non_empty=True),
        png=report(
            ensure(f"{LEARNING_FIGURE}/training.png", non_empty=True),
            caption="../report/global_fit_gan.rst",
            category="Global fit",
            subcategory="{observables}",
            labels={
                "figure": "training",
                "observables": "{observables}",
                "machine": "{machine}",
            },
        ),
    log:
        "<logs>/plot_global_fit_gan/{observables}/{machine}.log",
    benchmark:
        "<benchmarks>/plot_global_fit_gan/{observables}/{machine}.tsv"
    wildcard_constraints:
        machine=one_of(GANS),
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        lineage=lineage("plot_global_fit_gan"),
    shell:
        "wilsonvox plot global-fit-gan --answers {input:q}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"


rule plot_global_fit_images:
    """Draw training samples and generated samples as images."""
    input:
        GAN_ANSWERS,
    output:
        pdf=ensure(f"{LEARNING_FIGURE}/images.pdf", non_empty=True),
        png=report(
            ensure(f"{LEARNING_FIGURE}/images.png", non_empty=True),
            caption="../report/global_fit_images.rst",
            category="Global fit",
            subcategory="{observables}",
            labels={
                "figure": "images",
                "observables": "{observables}",
                "machine": "{machine}",
            },
        ),
    log:
        "<logs>/plot_global_fit_images/{observables}/{machine}.log",
    benchmark:
        "<benchmarks>/plot_global_fit_images/{observables}/{machine}.tsv"
    wildcard_constraints:
        machine=one_of(IMAGE_GANS),
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        lineage=lineage("plot_global_fit_images"),
    shell:
        "wilsonvox plot global-fit-images --answers {input:q}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"
