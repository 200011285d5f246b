rule plot_topology:
    """Draw the decay and its angles."""
    output:
        pdf=ensure("<results>/figures/topology.pdf", non_empty=True),
        png=report(
            ensure("<results>/figures/topology.png", non_empty=True),
            caption="../report/topology.rst",
            category="The decay",
            labels={"figure": "topology"},
        ),
    log:
        "<logs>/plot_topology.log",
    benchmark:
        "<benchmarks>/plot_topology.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        lineage=lineage("plot_topology"),
    shell:
        "wilsonvox plot topology"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"


rule plot_distributions:
    """Draw the four distributions at the two shown points."""
    input:
        events=shown_events,
    output:
        pdf=ensure("<results>/figures/distributions.pdf", non_empty=True),
        png=report(
            ensure("<results>/figures/distributions.png", non_empty=True),
            caption="../report/distributions.rst",
            category="The decay",
            labels={"figure": "distributions"},
        ),
    log:
        "<logs>/plot_distributions.log",
    benchmark:
        "<benchmarks>/plot_distributions.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        events=event_words,
        words=distribution_words,
        lineage=lineage("plot_distributions"),
    shell:
        "wilsonvox plot distributions {params.events:q} {params.words:q}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"


rule plot_voxels:
    """Draw one voxel image of each of the two shown points in 3D."""
    input:
        shards=shown_shards,
    output:
        pdf=ensure("<results>/figures/{image}/voxels.pdf", non_empty=True),
        png=report(
            ensure("<results>/figures/{image}/voxels.png", non_empty=True),
            caption="../report/voxels.rst",
            category="Images",
            labels={"figure": "voxels", "image": "{image}"},
        ),
    log:
        "<logs>/plot_voxels/{image}.log",
    benchmark:
        "<benchmarks>/plot_voxels/{image}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        shards=shard_words,
        lineage=lineage("plot_voxels"),
    shell:
        "wilsonvox plot voxels {params.shards:q}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"


rule plot_information:
    """Draw what an image keeps of the events' information on δC9."""
    input:
        INFORMATION,
    output:
        pdf=ensure("<results>/figures/{image}/information.pdf", non_empty=True),
        png=report(
            ensure("<results>/figures/{image}/information.png", non_empty=True),
            caption="../report/information.rst",
            category="Images",
            labels={"figure": "information kept", "image": "{image}"},
        ),
    log:
        "<logs>/plot_information/{image}.log",
    benchmark:
        "<benchmarks>/plot_information/{image}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        lineage=lineage("plot_information"),
    shell:
        "wilsonvox plot information --information {input:q}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"


rule plot_network:
    """Draw the network's topology."""
    input:
        model=MODEL,
    output:
        pdf=ensure("<results>/figures/{image}/{estimator}/network.pdf", non_empty=True),
        png=report(
            ensure(
                "<results>/figures/{image}/{estimator}/network.png", non_empty=True
            ),
            caption="../report/network.rst",
            category="Training",
            subcategory="{image}",
            labels={
                "figure": "network",
                "image": "{image}",
                "estimator": "{estimator}",
            },
        ),
    log:
        "<logs>/plot_network/{image}/{estimator}.log",
    benchmark:
        "<benchmarks>/plot_network/{image}/{estimator}.tsv"
    wildcard_constraints:
        estimator=one_of(TRAINED),
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        lineage=lineage("plot_network"),
    shell:
        "wilsonvox plot network --model {input.model:q} --title {wildcards.estimator}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"


rule plot_training:
    """Draw the training curves."""
    input:
        history=HISTORY,
    output:
        pdf=ensure("<results>/figures/{image}/{estimator}/training.pdf", non_empty=True),
        png=report(
            ensure(
                "<results>/figures/{image}/{estimator}/training.png", non_empty=True
            ),
            caption="../report/training.rst",
            category="Training",
            subcategory="{image}",
            labels={
                "figure": "training",
                "image": "{image}",
                "estimator": "{estimator}",
            },
        ),
    log:
        "<logs>/plot_training/{image}/{estimator}.log",
    benchmark:
        "<benchmarks>/plot_training/{image}/{estimator}.tsv"
    wildcard_constraints:
        estimator=one_of(TRAINED),
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        loss=loss,
        lineage=lineage("plot_training"),
    shell:
        "wilsonvox plot training --history {input.history:q} --model {wildcards.estimator} --loss {params.loss}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"


rule plot_histograms:
    """Draw histograms of the predictions at the two shown points."""
    input:
        predictions=shown_predictions,
    output:
        pdf=ensure(
            "<results>/figures/{image}/{estimator}/histograms.pdf", non_empty=True
        ),
        png=report(
            ensure(
                "<results>/figures/{image}/{estimator}/histograms.png", non_empty=True
            ),
            caption="../report/histograms.rst",
            category="Results",
            subcategory="{image}",
            labels={
                "figure": "histograms",
                "image": "{image}",
                "estimator": "{estimator}",
            },
        ),
    log:
        "<logs>/plot_histograms/{image}/{estimator}.log",
    benchmark:
        "<benchmarks>/plot_histograms/{image}/{estimator}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        predictions=prediction_words,
        drawn=drawn_words,
        lineage=lineage("plot_histograms"),
    shell:
        "wilsonvox plot histograms {params.predictions:q} {params.drawn:q}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"


rule plot_linearity:
    """Draw mean prediction against true value, errors scaled by 1/√N."""
    input:
        summary=SUMMARY,
    output:
        pdf=ensure(
            "<results>/figures/{image}/{estimator}/linearity.pdf", non_empty=True
        ),
        png=report(
            ensure(
                "<results>/figures/{image}/{estimator}/linearity.png", non_empty=True
            ),
            caption="../report/linearity.rst",
            category="Results",
            subcategory="{image}",
            labels={
                "figure": "linearity, errors of the mean",
                "image": "{image}",
                "estimator": "{estimator}",
            },
        ),
    log:
        "<logs>/plot_linearity/{image}/{estimator}.log",
    benchmark:
        "<benchmarks>/plot_linearity/{image}/{estimator}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        drawn=linearity_words,
        lineage=lineage("plot_linearity"),
    shell:
        "wilsonvox plot linearity --summary {input.summary:q} --scaled {params.drawn:q}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"


rule plot_linearity_unscaled:
    """Draw mean prediction against true value, errors of one image."""
    input:
        summary=SUMMARY,
    output:
        pdf=ensure(
            "<results>/figures/{image}/{estimator}/linearity_unscaled.pdf",
            non_empty=True,
        ),
        png=report(
            ensure(
                "<results>/figures/{image}/{estimator}/linearity_unscaled.png",
                non_empty=True,
            ),
            caption="../report/linearity_unscaled.rst",
            category="Results",
            subcategory="{image}",
            labels={
                "figure": "linearity, errors of one image",
                "image": "{image}",
                "estimator": "{estimator}",
            },
        ),
    log:
        "<logs>/plot_linearity_unscaled/{image}/{estimator}.log",
    benchmark:
        "<benchmarks>/plot_linearity_unscaled/{image}/{estimator}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        drawn=linearity_words,
        lineage=lineage("plot_linearity_unscaled"),
    shell:
        "wilsonvox plot linearity --summary {input.summary:q} --unscaled {params.drawn:q}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"


rule plot_sensitivity:
    """Draw σ against the true value beside the Cramér–Rao bound, all estimators."""
    input:
        summaries=image_summaries,
    output:
        pdf=ensure("<results>/figures/{image}/sensitivity.pdf", non_empty=True),
        png=report(
            ensure("<results>/figures/{image}/sensitivity.png", non_empty=True),
            caption="../report/sensitivity.rst",
            category="Results",
            subcategory="{image}",
            labels={"figure": "sensitivity", "image": "{image}", "estimator": "all"},
        ),
    log:
        "<logs>/plot_sensitivity/{image}.log",
    benchmark:
        "<benchmarks>/plot_sensitivity/{image}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        summaries=summary_words,
        drawn=compared_words,
        lineage=lineage("plot_sensitivity"),
    shell:
        "wilsonvox plot sensitivity {params.summaries:q} {params.drawn:q}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"


rule plot_luminosity:
    """Draw σ·√N of images of several numbers of events beside the Cramér–Rao bound."""
    input:
        summaries=luminosity_summaries,
    output:
        pdf=ensure("<results>/figures/luminosity.pdf", non_empty=True),
        png=report(
            ensure("<results>/figures/luminosity.png", non_empty=True),
            caption="../report/luminosity.rst",
            category="Results",
            labels={
                "figure": "luminosity scan",
                "image": "several",
                "estimator": "all",
            },
        ),
    log:
        "<logs>/plot_luminosity.log",
    benchmark:
        "<benchmarks>/plot_luminosity.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        summaries=summary_words,
        words=luminosity_words,
        lineage=lineage("plot_luminosity"),
    shell:
        "wilsonvox plot luminosity {params.summaries:q} {params.words:q}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"


rule plot_corner:
    """Draw a sample's shifts, measured together, with their joint regions, all estimators."""
    input:
        measurements=joint_measurements,
    output:
        pdf=ensure("<results>/figures/{image}/corner/{sample}.pdf", non_empty=True),
        png=report(
            ensure("<results>/figures/{image}/corner/{sample}.png", non_empty=True),
            caption="../report/corner.rst",
            category="Results",
            subcategory="{image}",
            labels={
                "figure": "corner, {sample}",
                "image": "{image}",
                "estimator": "all",
            },
        ),
    log:
        "<logs>/plot_corner/{image}/{sample}.log",
    benchmark:
        "<benchmarks>/plot_corner/{image}/{sample}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        measurements=measurement_words,
        lineage=lineage("plot_corner"),
    shell:
        "wilsonvox plot corner {params.measurements:q}"
        " --pdf {output.pdf:q} --png {output.png:q} > {log:q} 2>&1"
