"""Stages that draw figures: to add a figure, add its entry here."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from wilsonvox.ensembles.calibration import MINIMUM_POINTS
from wilsonvox.stages import global_fit
from wilsonvox.stages.arguments import coefficient_arguments, shown_point_arguments
from wilsonvox.stages.estimators import EVALUATED_SPLITS, EVALUATIONS, PREDICTIONS, prediction_file
from wilsonvox.stages.graph import (
    NO_WILDCARDS,
    Files,
    Input,
    Report,
    Resources,
    Stage,
    Wildcards,
    no_arguments,
    output_of,
)
from wilsonvox.stages.run import EstimatorKind, Run

DRAWING = Resources(1500, 20, reason="matplotlib; 110 to 260 MB measured")
"""Resources of a figure without any of its own, on clusters too."""

SUFFIXES = ("pdf", "png")
"""Formats in which every figure is written."""


# ---------------------------------------------------------------- where a figure is drawn
def _once(run: Run) -> Iterable[Wildcards]:
    return [NO_WILDCARDS]


def _per_image(run: Run) -> Iterable[Wildcards]:
    return [{"image": image} for image in run.used_images()]


def _per_estimator(kind: EstimatorKind | None = None) -> Any:
    def jobs(run: Run) -> Iterable[Wildcards]:
        pairs = run.image_estimators(kind)
        return [{"image": image, "estimator": estimator} for image, estimator in pairs]

    return jobs


def _per_calibrated_estimator(run: Run) -> Iterable[Wildcards]:
    """Estimators of one shift, if each ensemble can be calibrated with the others."""
    configuration = run.configuration
    points = {point for split in EVALUATED_SPLITS for point in configuration.labels(split)}
    pairs = [
        (image, name)
        for image, name in run.image_estimators()
        if len(configuration.estimated(name)) == 1
    ]
    # an ensemble inside the range of the others, which have enough distinct values
    enough = len({str(configuration.point_shifts(p)) for p in points}) >= MINIMUM_POINTS + 2
    return [{"image": image, "estimator": name} for image, name in pairs if enough]


def _per_scan(run: Run) -> Iterable[Wildcards]:
    return [
        {"image": image, "estimator": estimator}
        for image, estimator in run.image_estimators("images")
        if estimator in run.configuration.scan
    ]


def _per_joint_sample(run: Run) -> Iterable[Wildcards]:
    images = [image for image in run.used_images() if run.configuration.joint_estimators(image)]
    return [{"image": image, "sample": sample} for image in images for sample in run.samples]


def _if_luminosities_differ(run: Run) -> Iterable[Wildcards]:
    return [NO_WILDCARDS] if run.configuration.luminosity_scan() else []


def _per_set(run: Run) -> Iterable[Wildcards]:
    fit = run.configuration.global_fit
    return [{"observables": name} for name in fit.observable_sets()] if fit else []


def _per_learned_set(run: Run) -> Iterable[Wildcards]:
    fit = run.configuration.global_fit
    return [{"observables": fit.learned_set()}] if fit and (fit.networks or fit.gans) else []


ModelKind = Literal["all", "networks", "mixtures", "gans", "image GANs"]


def _models(run: Run, kind: ModelKind) -> list[str]:
    fit = run.configuration.global_fit
    if fit is None:
        return []
    mixtures = [name for name, each in fit.networks.items() if each.network.output == "mixture"]
    image_gans = [name for name, each in fit.gans.items() if each.gan.architecture != "dense"]
    return {
        "all": [*fit.networks, *fit.gans],
        "networks": list(fit.networks),
        "mixtures": mixtures,
        "gans": list(fit.gans),
        "image GANs": image_gans,
    }[kind]


def _per_model(kind: ModelKind) -> Any:
    def jobs(run: Run) -> Iterable[Wildcards]:
        names = _models(run, kind)
        return [{"observables": run.global_fit.learned_set(), "machine": name} for name in names]

    return jobs


def _model_constraints(kind: ModelKind) -> Any:
    def constraints(run: Run) -> Mapping[str, Iterable[str]]:
        return {"machine": _models(run, kind)}

    return constraints


# ---------------------------------------------------------------- inputs and arguments
def _shown_events(run: Run, wildcards: Wildcards) -> Files:
    points = run.configuration.shown_labels()
    return [
        output_of("generate_events", "events", split="test", point=point, campaign="000")
        for point in points
    ]


def _shown_shards(run: Run, wildcards: Wildcards) -> Files:
    names = {"image": wildcards["image"], "split": "test", "campaign": "000"}
    return [
        output_of("voxelize", "shard", point=point, **names)
        for point in run.configuration.shown_labels()
    ]


def _distribution_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    low, high = run.configuration.figures.distributions_q2_gev2
    arguments = ["--q2-min-gev2", low, "--q2-max-gev2", high]
    if run.configuration.generation.flavour != "B0":
        arguments += ["--flavour", run.configuration.generation.flavour]
    return arguments


def _information(run: Run, wildcards: Wildcards) -> Files:
    return [output_of("image_information", "information", image=wildcards["image"])]


def _trained(output: str) -> Any:
    def select(run: Run, wildcards: Wildcards) -> Files:
        names = {name: wildcards[name] for name in ("image", "estimator")}
        return [output_of("train", output, **names)]

    return select


def _title_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    return ["--title", wildcards["estimator"]]


def _training_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    name = wildcards["estimator"]
    loss = run.configuration.trained_estimators()[name].training.loss
    return ["--model", name, "--loss", loss]


def _shown_predictions(run: Run, wildcards: Wildcards) -> Files:
    image, estimator = wildcards["image"], wildcards["estimator"]
    return [
        prediction_file(run, image, estimator, "test", point)
        for point in run.configuration.shown_labels()
    ]


def _plotted_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    return coefficient_arguments(run.configuration.plotted_coefficient([wildcards["estimator"]]))


def _linearity_arguments(*scale: str) -> Any:
    def arguments(run: Run, wildcards: Wildcards) -> list[Any]:
        shown = run.configuration.figures.linearity
        kind = [] if shown == "mean" else ["--ensembles", shown]
        return [*scale, *_plotted_arguments(run, wildcards), *kind]

    return arguments


def _summary(run: Run, wildcards: Wildcards) -> Files:
    names = {name: wildcards[name] for name in ("image", "estimator")}
    return [output_of("summarize", "parquet", **names)]


def _compared_summaries(run: Run, wildcards: Wildcards) -> Files:
    image = wildcards["image"]
    names = run.configuration.compared_estimators(image)
    return [output_of("summarize", "parquet", image=image, estimator=name) for name in names]


def _compared_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    names = run.configuration.estimators_for(wildcards["image"])
    return coefficient_arguments(run.configuration.plotted_coefficient(names))


def _luminosity_summaries(run: Run, wildcards: Wildcards) -> Files:
    scan = run.configuration.luminosity_scan()
    return [output_of("summarize", "parquet", image=image, estimator=name) for image, name in scan]


def _luminosity_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    names = [estimator for _, estimator in run.configuration.luminosity_scan()]
    name = run.configuration.plotted_coefficient(names)
    return [*shown_point_arguments(run), *coefficient_arguments(name)]


def _joint_measurements(run: Run, wildcards: Wildcards) -> Files:
    image, sample = wildcards["image"], wildcards["sample"]
    fits = run.configuration.event_estimators()
    return [
        output_of(
            "measure_events" if name in fits else "measure",
            "measurement",
            image=image,
            estimator=name,
            sample=sample,
        )
        for name in run.configuration.joint_estimators(image)
    ]


def _scan(run: Run, wildcards: Wildcards) -> Files:
    names = {name: wildcards[name] for name in ("image", "estimator")}
    return [output_of("collect_trials", "json", **names)]


def _shown_fit(run: Run, wildcards: Wildcards) -> Files:
    fit = run.global_fit
    return [global_fit.fit_file(wildcards["observables"], fit.versions[0], fit.hadronic[0])]


def _all_fits(run: Run, wildcards: Wildcards) -> Files:
    return global_fit.fit_files(run, wildcards["observables"])


def _same_fit(run: Run, wildcards: Wildcards) -> Files:
    # the fit with the χ² that a network's density is compared with
    version = run.global_fit.networks[wildcards["machine"]].version
    return [global_fit.fit_file(wildcards["observables"], version, "none")]


def _all_models(run: Run, wildcards: Wildcards) -> Files:
    return global_fit.learned_models(run, wildcards["observables"])


def _one_model(run: Run, wildcards: Wildcards) -> Files:
    return [global_fit.learned_model(run, wildcards["observables"], wildcards["machine"])]


def _shown_measurement(run: Run, wildcards: Wildcards) -> Files:
    shown = run.global_fit.measurement
    return [] if shown is None else [output_of("measure_for_global_fit", "measurement")]


NETWORK = Input(_one_model, ("train_inverse_network",), "answers")
GAN = Input(_one_model, ("train_gan",), "answers")


# ---------------------------------------------------------------- the figures
def _figure(
    path: str,
    jobs: Any,
    category: str,
    description: str,
    *,
    name: str = "",
    module: str = "",
    label: str = "",
    inputs: Mapping[str, Input] | None = None,
    arguments: Any = no_arguments,
    estimators: EstimatorKind | None = None,
    constraints: Any = None,
    resources: Resources | None = None,
) -> tuple[str, Stage]:
    """Return a figure's stage by the name of its rule.

    Args:
        path: pattern of the files, relative to the folder ``figures``, without suffix.
        jobs: wildcards of all jobs, of a run.
        category: heading in the report.
        description: one sentence.
        name: of the figure, its rule and its caption; the file's name if empty.
        module: below `wilsonvox.figures`; the figure's name if empty.
        label: entry in the report's column "figure"; the file's name if empty.
        inputs: by name.
        arguments: of the command line.
        estimators: kind of the estimators that it is drawn for.
        constraints: values that wildcards may have.
        resources: of a job.
    """
    file = path.rpartition("/")[2]
    name = name or file
    module = module or name
    labels = {"figure": label or file.replace("_", " ")}
    subcategory = ""
    if "{image}" in path:
        labels["image"] = subcategory = "{image}"
    if "{estimator}" in path:
        labels["estimator"] = "{estimator}"
    if category == "Results":
        # one table for all of them: figures that compare several images or estimators
        labels = {"figure": labels["figure"], "image": "several", "estimator": "all"} | labels
    if "{observables}" in path:
        labels["observables"] = subcategory = "{observables}"
    if "{machine}" in path:
        labels["model"] = "{machine}"
    return f"plot_{name}", Stage(
        outputs={suffix: f"figures/{path}.{suffix}" for suffix in SUFFIXES},
        # not wilsonvox.cli.plot, which leads to every figure
        modules=(f"wilsonvox.figures.{module}", "wilsonvox.figures.saving"),
        inputs=inputs or {},
        arguments=arguments,
        estimators=estimators,
        constraints=constraints,
        jobs=jobs,
        report=Report(name, category, labels, subcategory),
        description=description,
        command=module.replace(".", "-").replace("_", "-"),
        resources=resources or DRAWING,
    )


FIGURE_STAGES: Mapping[str, Stage] = dict(
    [
        _figure("topology", _once, "The decay", "Draw the decay and its angles."),
        _figure(
            "distributions",
            _once,
            "The decay",
            "Draw the distributions of the four variables at the shown points.",
            inputs={"events": Input(_shown_events, ("generate_events",), "events")},
            arguments=_distribution_arguments,
            resources=Resources(
                2500,
                20,
                reason="reads two event files; 236 MB measured for the demonstration's, 1.2 GB "
                "planned for the paper's",
            ),
        ),
        _figure(
            "{image}/voxels",
            _per_image,
            "Images",
            "Draw a voxel image of each of the shown points in 3D.",
            inputs={"shards": Input(_shown_shards, ("voxelize",), "shard")},
            resources=Resources(2000, 20, reason="reads two shards; 369 MB and 5 s measured"),
        ),
        _figure(
            "{image}/information",
            _per_image,
            "Images",
            "Draw the share of the events' information on δC9 that images keep.",
            label="information kept",
            inputs={"information": Input(_information, ("image_information",), "information")},
        ),
        _figure(
            "{image}/{estimator}/network",
            _per_estimator("networks"),
            "Training",
            "Draw the layers of a network.",
            inputs={"model": Input(_trained("model"), ("train",), "model")},
            arguments=_title_arguments,
            estimators="networks",
        ),
        _figure(
            "{image}/{estimator}/training",
            _per_estimator("networks"),
            "Training",
            "Draw the training curves.",
            inputs={"history": Input(_trained("history"), ("train",), "history")},
            arguments=_training_arguments,
            estimators="networks",
        ),
        _figure(
            "{image}/{estimator}/histograms",
            _per_estimator(),
            "Results",
            "Draw histograms of the predictions at the shown points.",
            inputs={"predictions": Input(_shown_predictions, EVALUATIONS, "predictions")},
            arguments=_plotted_arguments,
        ),
        _figure(
            "{image}/{estimator}/linearity",
            _per_estimator(),
            "Results",
            "Draw the mean prediction against the true value, with errors of the mean.",
            label="linearity, errors of the mean",
            inputs={"summary": Input(_summary, ("summarize",), "summary")},
            arguments=_linearity_arguments("--scaled"),
        ),
        _figure(
            "{image}/{estimator}/linearity_unscaled",
            _per_estimator(),
            "Results",
            "Draw the mean prediction against the true value, with errors of one image.",
            module="linearity",
            label="linearity, errors of one image",
            inputs={"summary": Input(_summary, ("summarize",), "summary")},
            arguments=_linearity_arguments("--unscaled"),
        ),
        _figure(
            "{image}/{estimator}/pulls",
            _per_calibrated_estimator,
            "Results",
            "Draw the pull distribution of an estimator, and its mean and width by true shift.",
            inputs={"predictions": PREDICTIONS},
            arguments=_plotted_arguments,
        ),
        _figure(
            "{image}/sensitivity",
            _per_image,
            "Results",
            "Draw σ against the true value, all estimators, next to the Cramér–Rao bound.",
            inputs={
                "summaries": Input(_compared_summaries, ("summarize",), "summary", is_ordered=False)
            },
            arguments=_compared_arguments,
        ),
        _figure(
            "luminosity",
            _if_luminosities_differ,
            "Results",
            "Draw σ·√N of images of several numbers of events, next to the Cramér–Rao bound.",
            label="luminosity scan",
            inputs={
                "summaries": Input(
                    _luminosity_summaries, ("summarize",), "summary", is_ordered=False
                )
            },
            arguments=_luminosity_arguments,
        ),
        _figure(
            "{image}/corner/{sample}",
            _per_joint_sample,
            "Results",
            "Draw the shifts of a sample that were measured together, with their joint regions.",
            name="corner",
            label="corner, {sample}",
            inputs={
                "measurements": Input(
                    _joint_measurements, ("measure", "measure_events"), "measurement"
                )
            },
        ),
    ]
)
"""The figures of `all`."""

SCAN_FIGURE_STAGES: Mapping[str, Stage] = dict(
    [
        _figure(
            "{image}/{estimator}/scan",
            _per_scan,
            "Training",
            "Draw the trials of a hyperparameter scan.",
            inputs={"scan": Input(_scan, ("collect_trials",), "scan")},
            estimators="images",
        ),
    ]
)
"""The figures of hyperparameter scans."""


def _fit_figure(
    path: str, jobs: Any, description: str, name: str, module: str = "", **options: Any
) -> tuple[str, Stage]:
    """Return the stage of a figure of the global fit; see `_figure`."""
    return _figure(
        f"global_fit/{path}",
        jobs,
        "Global fit",
        description,
        name=f"global_fit_{name}",
        module=f"global_fit.{module or name}",
        **options,
    )


GLOBAL_FIT_FIGURE_STAGES: Mapping[str, Stage] = dict(
    [
        _fit_figure(
            "{observables}/observables",
            _per_set,
            "Draw the observables by bin: measured, without shifts, and at the minimum of a fit.",
            "observables",
            inputs={
                "table": global_fit.TABLE,
                "fit": Input(_shown_fit, ("fit_coefficients",), "fit"),
            },
        ),
        _fit_figure(
            "{observables}/contours",
            _per_set,
            "Draw contours in the plane of δC9 and δC10, and the results of networks and GANs.",
            "contours",
            inputs={
                "fits": Input(_all_fits, ("fit_coefficients",), "fit"),
                "answers": Input(_all_models, global_fit.LEARNED, "answers"),
                "measurement": Input(
                    _shown_measurement, ("measure_for_global_fit",), "measurement"
                ),
            },
        ),
        _fit_figure(
            "{observables}/training_sets",
            _per_learned_set,
            "Draw the distributions of χ² in the training sets of networks and GANs.",
            "training_sets",
            inputs={"answers": Input(_all_models, global_fit.LEARNED, "answers")},
        ),
        _fit_figure(
            "{observables}/{machine}/best_sample",
            _per_model("all"),
            "Draw the observables by bin: measured, and the best samples of a network or GAN.",
            "best_sample",
            constraints=_model_constraints("all"),
            inputs={
                "table": global_fit.TABLE,
                "answers": Input(_one_model, global_fit.LEARNED, "answers"),
            },
        ),
        _fit_figure(
            "{observables}/{machine}/losses",
            _per_model("networks"),
            "Draw the losses of a network from all its starts, and the predictions.",
            "network",
            constraints=_model_constraints("networks"),
            inputs={"answers": NETWORK},
        ),
        _fit_figure(
            "{observables}/{machine}/posterior",
            _per_model("mixtures"),
            "Draw the density of C9 and C10 that networks predict, next to contours of the χ².",
            "posterior",
            constraints=_model_constraints("mixtures"),
            inputs={"answers": NETWORK, "fit": Input(_same_fit, ("fit_coefficients",), "fit")},
        ),
        _fit_figure(
            "{observables}/{machine}/training",
            _per_model("gans"),
            "Draw the losses, accuracy and samples of a GAN from all its starts.",
            "gan",
            constraints=_model_constraints("gans"),
            inputs={"answers": GAN},
        ),
        _fit_figure(
            "{observables}/{machine}/images",
            _per_model("image GANs"),
            "Draw training samples and generated samples as images.",
            "images",
            constraints=_model_constraints("image GANs"),
            inputs={"answers": GAN},
        ),
    ]
)
"""The figures of the global fit."""
