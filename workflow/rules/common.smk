# The validated configuration, and the paths and command-line words that rules ask for.
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from wilsonvox.config.option_words import option_words
from wilsonvox.config.global_fit import check_global_fit
from wilsonvox.config.samples import measured_samples
from wilsonvox.config.reading import parse_configuration
from wilsonvox.workflow.crates.contents import sources_digest
from wilsonvox.core.errors import UserError
from wilsonvox.workflow.job_digest import Lineage
from wilsonvox.theory.points import SPLITS, is_sampled, point_label
from wilsonvox.provenance.code import all_imports
from wilsonvox.provenance.environment import checkout, environment_problem
from wilsonvox.workflow.started import note_or_compare

# `wilsonvox` is the one beside this Snakemake, also where .venv/bin is not in PATH
BIN = str(Path(sys.executable).parent)
shell.prefix("set -euo pipefail; export PATH={BIN:q}:$PATH; ")

try:
    CONFIG = parse_configuration(config, ", ".join(map(str, workflow.configfiles)))
    SAMPLES = measured_samples(CONFIG)
    check_global_fit(CONFIG.global_fit)
except UserError as error:
    raise WorkflowError(str(error)) from None

# a job on another node reads code and configuration again: it must be what the user started
changed = note_or_compare(CONFIG, SAMPLES, workflow.is_main_process)
if changed:
    raise WorkflowError(f"wilsonvox: {changed}")

# captions and the report's first page tell values that were left to their defaults, too
config.update(CONFIG.model_dump(mode="json"))

RUN_FOLDER = f"results/{CONFIG.run}"
FIGURE_SUFFIXES = ["pdf", "png"]


def one_of(names):
    """Pattern of a wildcard that has one of `names`; matches nothing if there is none."""
    return "|".join(map(re.escape, names)) or r"(?!)"


LINEAGE = Lineage(CONFIG, SAMPLES)


def lineage(stage):
    """Parameter of every rule: changes with all settings and code behind the rule's outputs."""

    def digest(wildcards):
        return LINEAGE.digest(stage, **dict(wildcards.items()))

    return digest


# ---------------------------------------------------------------- events and images
def temp_unless_kept(path):
    """Mark generated event files as temporary where the configuration does not keep them."""
    return path if CONFIG.keep_event_files else temp(path)


GENERATION = CONFIG.generation


def decay_words(wildcards):
    """Options of the decay: its inputs, and what differs from their defaults."""
    words = ["--physics-inputs", CONFIG.physics_inputs]
    if GENERATION.lepton != "muon":
        words += ["--lepton", GENERATION.lepton]
    if GENERATION.antiparticle_shifts != "equal":
        words += ["--antiparticle-shifts", GENERATION.antiparticle_shifts]
    return words


def generate_words(wildcards):
    events = CONFIG.campaign_events(
        wildcards.point, wildcards.split, wildcards.campaign
    )
    words = ["--events", events, "--seed", CONFIG.seed]
    if is_sampled(wildcards.point):
        for name, value in CONFIG.point_shifts(wildcards.point).items():
            words += ["--shift", f"{name}={value!r}"]
    if GENERATION.flavour != "B0":
        words += ["--flavour", GENERATION.flavour]
    if GENERATION.four_momenta:
        words += ["--four-momenta", "--frame", GENERATION.frame]
    return words


def sample_files(wildcards):
    try:
        return SAMPLES[wildcards.sample].files()
    except UserError as error:
        raise WorkflowError(str(error)) from None


def ingest_words(wildcards, input):
    row = SAMPLES[wildcards.sample]
    words = [word for path in input for word in ("--events", path)]
    words += ["--layout", row.layout, "--flavour", row.flavour, "--sample", row.sample]
    words += ["--tree", row.tree] if row.tree else []
    return words + (["--true-point", row.true_point] if row.true_point else [])


def image_words(wildcards):
    return option_words(CONFIG.images[wildcards.image].specification)


def n_images(wildcards):
    return CONFIG.images_in_campaign(
        wildcards.image, wildcards.point, wildcards.split, wildcards.campaign
    )


def campaign_files(pattern, split, points=None):
    """Paths of all campaigns of `split`, at every point that has some or at `points`."""
    return [
        path
        for point in points or CONFIG.labels(split)
        for path in expand(
            pattern,
            split=split,
            point=point,
            campaign=CONFIG.campaigns(point, split),
            allow_missing=True,
        )
    ]


EVENTS = "<results>/events/{split}/{point}/{campaign}.root"
SHARD = "<results>/voxels/{image}/{split}/{point}/{campaign}.npz"
SAMPLE_EVENTS = "<results>/samples/{sample}.root"
SAMPLE_SHARD = "<results>/voxels/{image}/samples/{sample}.npz"


def event_files(wildcards):
    generated = [path for split in SPLITS for path in campaign_files(EVENTS, split)]
    return generated + expand(SAMPLE_EVENTS, sample=SAMPLES)


def shard_files(wildcards):
    shards = [path for split in SPLITS for path in campaign_files(SHARD, split)]
    shards += expand(SAMPLE_SHARD, sample=SAMPLES, allow_missing=True)
    return expand(shards, image=CONFIG.images)


# ---------------------------------------------------------------- estimators
PREDICTIONS = "<results>/evaluation/{image}/{estimator}/{split}/{point}.parquet"
SUMMARY = "<results>/evaluation/{image}/{estimator}/summary.parquet"
SUMMARY_CSV = "<results>/evaluation/{image}/{estimator}/summary.csv"
MODEL = "<results>/models/{image}/{estimator}/model.keras"
PREPARED = "<results>/models/{image}/{estimator}/estimator.npz"
HISTORY = "<results>/models/{image}/{estimator}/history.csv"
TRAINING_STATE = f"{RUN_FOLDER}/training_state/{{image}}/{{estimator}}.npz"
TENSORBOARD = f"{RUN_FOLDER}/logs/train/{{image}}/{{estimator}}"
MEASUREMENT = "<results>/measurements/{image}/{estimator}/{sample}.json"

# estimators that are trained in epochs, those that sum over voxels, which read images too, and
# those that read events
TRAINED = CONFIG.trained_estimators()
VOXEL_SUMS = CONFIG.voxel_sums()
READ_IMAGES = CONFIG.image_estimators()
FITTED = CONFIG.event_estimators()
ARCHITECTURES = {each.architecture for each in CONFIG.estimators.values()}


def train_shards(wildcards):
    return campaign_files(SHARD, "train")


def validation_shards(wildcards):
    return campaign_files(SHARD, "validation")


def train_words(wildcards, input):
    words = [word for path in input.train for word in ("--train", path)]
    return words + [
        word for path in input.validation for word in ("--validation", path)
    ]


def estimator_words(wildcards):
    estimator = TRAINED[wildcards.estimator]
    return (
        ["--estimator", wildcards.estimator, "--architecture", estimator.architecture]
        + option_words(estimator.network)
        + option_words(estimator.training)
        + option_words(estimator.normalisation)
    )


def voxel_sum_words(wildcards):
    return ["--estimator", wildcards.estimator] + option_words(
        VOXEL_SUMS[wildcards.estimator].settings
    )


def prepare_words(wildcards):
    estimator = FITTED[wildcards.estimator]
    return (
        ["--estimator", wildcards.estimator, "--architecture", estimator.architecture]
        + ["--coefficients", ",".join(estimator.coefficients)]
        + option_words(estimator.settings)
        + image_words(wildcards)
        + decay_words(wildcards)
    )


def point_shards(wildcards):
    return campaign_files(SHARD, wildcards.split, [wildcards.point])


def point_events(wildcards):
    return campaign_files(EVENTS, wildcards.split, [wildcards.point])


def shard_words(wildcards, input):
    return [word for path in input.shards for word in ("--shard", path)]


def prediction_files(wildcards):
    """Predictions of every point's test images, and of the interpolation points' images."""
    return [
        path
        for split in ("test", "interpolation")
        for path in expand(
            PREDICTIONS, split=split, point=CONFIG.labels(split), allow_missing=True
        )
    ]


def prediction_words(wildcards, input):
    return [word for path in input.predictions for word in ("--predictions", path)]


def for_each_estimator(pattern, among=CONFIG.estimators, **values):
    """`pattern` for every image specification and every estimator that it is for.

    Of the estimators those in `among` only.
    """
    return [
        path
        for image in CONFIG.images
        for path in expand(
            pattern,
            image=image,
            estimator=[each for each in CONFIG.estimators_for(image) if each in among],
            **values,
        )
    ]


def model_files(wildcards):
    return for_each_estimator(MODEL, READ_IMAGES) + for_each_estimator(PREPARED, FITTED)


def summary_files(wildcards):
    return for_each_estimator(SUMMARY) + for_each_estimator(SUMMARY_CSV)


def run_folder(wildcards):
    return RUN_FOLDER


def measurement_files(wildcards):
    return for_each_estimator(MEASUREMENT, sample=SAMPLES)


# ---------------------------------------------------------------- scans
SCAN_FOLDER = "scans/{image}/{estimator}"
SUGGESTIONS = f"<results>/{SCAN_FOLDER}/round_{{round}}.json"
TRIAL = f"<results>/{SCAN_FOLDER}/trials/{{trial}}/trial.json"
TRIAL_MODEL = f"{RUN_FOLDER}/{SCAN_FOLDER}/trials/{{trial}}/model.keras"
TRIAL_HISTORY = f"{RUN_FOLDER}/{SCAN_FOLDER}/trials/{{trial}}/history.csv"
TRIAL_STATE = f"{RUN_FOLDER}/training_state/{SCAN_FOLDER}/{{trial}}.npz"
SCAN = f"<results>/{SCAN_FOLDER}/scan.json"
SCAN_CSV = f"<results>/{SCAN_FOLDER}/trials.csv"
STUDY = f"<results>/{SCAN_FOLDER}/study.journal"


def trial_files(numbers):
    trials = [f"{number:03d}" for number in numbers]
    return expand(TRIAL, trial=trials, allow_missing=True)


def earlier_trials(wildcards):
    """Results of all trials before a round, from which it is suggested."""
    scan = CONFIG.scan[wildcards.estimator]
    return trial_files(range(scan.trials(int(wildcards.round)).start))


def trial_suggestions(wildcards):
    number = CONFIG.scan[wildcards.estimator].round_of(int(wildcards.trial))
    return expand(SUGGESTIONS, round=number, allow_missing=True)


def all_suggestions(wildcards):
    rounds = range(CONFIG.scan[wildcards.estimator].rounds)
    return expand(SUGGESTIONS, round=rounds, allow_missing=True)


def all_trials(wildcards):
    return trial_files(range(CONFIG.scan[wildcards.estimator].n_trials))


def suggest_words(wildcards, input):
    name = wildcards.estimator
    scan, base = CONFIG.scan[name], CONFIG.scanned_estimator(name)
    words = ["--estimator", name, "--architecture", base.architecture]
    for key, where in scan.parameters.items():
        words += ["--parameter", key, where.model_dump_json(exclude_defaults=True)]
    words += ["--round", wildcards.round, "--trials", scan.trials_per_round]
    words += ["--sampler", scan.sampler, "--seed", CONFIG.scan_seed(name)]
    if name in VOXEL_SUMS:
        words += option_words(base.settings)
    else:
        parts = (base.network, base.training, base.normalisation)
        words += [word for part in parts for word in option_words(part)]
    return words + [word for path in input.earlier for word in ("--earlier", path)]


def collect_words(wildcards, input):
    words = [word for path in input.suggestions for word in ("--suggestions", path)]
    return words + [word for path in input.trials for word in ("--trial", path)]


def scan_files(wildcards):
    """Table, study and figure of every scan."""
    if not CONFIG.scan:
        raise WorkflowError(
            "scan: the configuration has no hyperparameter scan; add `scan:` as in config/scan.yaml"
        )
    patterns = [SCAN, SCAN_CSV, STUDY]
    patterns += expand(
        "<results>/figures/{image}/{estimator}/scan.{suffix}",
        suffix=FIGURE_SUFFIXES,
        allow_missing=True,
    )
    return [path for each in patterns for path in for_each_estimator(each, CONFIG.scan)]


# ---------------------------------------------------------------- global fit
GLOBAL_FIT = CONFIG.global_fit
OBSERVABLE_SETS = GLOBAL_FIT.observable_sets() if GLOBAL_FIT else {}
PREDICTION_TABLE = "<results>/global_fit/{observables}/predictions.npz"
COEFFICIENT_FIT = "<results>/global_fit/{observables}/fits/{version}_{hadronic}.json"
SHOWN_MEASUREMENT = "<results>/global_fit/measurement.json"


INVERSE_NETWORKS = GLOBAL_FIT.networks if GLOBAL_FIT else {}
GANS = GLOBAL_FIT.gans if GLOBAL_FIT else {}
NETWORK_ANSWERS = "<results>/global_fit/{observables}/networks/{machine}.json"
GAN_ANSWERS = "<results>/global_fit/{observables}/gans/{machine}.json"
LEARNING_FIGURE = "<results>/figures/global_fit/{observables}/{machine}"


def observables_file(wildcards):
    """The user's file of a set; nothing for a set of the package."""
    return GLOBAL_FIT.observable_file(wildcards.observables) or []


def tabulate_words(wildcards):
    name = OBSERVABLE_SETS[wildcards.observables]
    return ["--observables", name, "--theory-draws", GLOBAL_FIT.theory_draws]


def fit_words(wildcards):
    words = [word for level in GLOBAL_FIT.levels for word in ("--level", level)]
    words += [word for point in GLOBAL_FIT.points for word in ("--point", *point)]
    if wildcards.hadronic != "none":
        words += ["--half-widths", *GLOBAL_FIT.half_widths]
    return words


def coefficient_fits(wildcards):
    """All fits of a set."""
    return expand(
        COEFFICIENT_FIT,
        observables=wildcards.observables,
        version=GLOBAL_FIT.versions,
        hadronic=GLOBAL_FIT.hadronic,
    )


def shown_fit(wildcards):
    """The fit whose predictions are drawn: the first that the configuration names."""
    return expand(
        COEFFICIENT_FIT,
        observables=wildcards.observables,
        version=GLOBAL_FIT.versions[0],
        hadronic=GLOBAL_FIT.hadronic[0],
    )


def measured_events(wildcards):
    return GLOBAL_FIT.measurement.events


def estimator_files(wildcards):
    """What `wilsonvox measure` reads of the run with the estimator."""
    folder = Path(GLOBAL_FIT.measurement.run)
    patterns = ("models/*/*/*.keras", "evaluation/**/*.parquet")
    return sorted(path.as_posix() for each in patterns for path in folder.glob(each))


def measured_words(wildcards):
    measurement = GLOBAL_FIT.measurement
    words = ["--run", measurement.run, "--flavour", measurement.flavour]
    return words + (
        ["--estimator", measurement.estimator] if measurement.estimator else []
    )


def shown_measurement(wildcards):
    return [SHOWN_MEASUREMENT] if GLOBAL_FIT.measurement else []


def machine_answers(wildcards):
    """Answers of the learning machines of a set."""
    if wildcards.observables != GLOBAL_FIT.learned_set():
        return []
    name = {"observables": wildcards.observables}
    networks = expand(NETWORK_ANSWERS, machine=INVERSE_NETWORKS, **name)
    return networks + expand(GAN_ANSWERS, machine=GANS, **name)


def one_machine_answers(wildcards):
    """Answers of one learning machine."""
    is_network = wildcards.machine in INVERSE_NETWORKS
    return expand(NETWORK_ANSWERS if is_network else GAN_ANSWERS, **wildcards)


def network_words(wildcards):
    machine = INVERSE_NETWORKS[wildcards.machine]
    words = ["--name", wildcards.machine, "--version", machine.version]
    return words + option_words(machine.training_set) + option_words(machine.network)


def gan_words(wildcards):
    machine = GANS[wildcards.machine]
    words = ["--name", wildcards.machine, "--version", machine.version]
    return words + option_words(machine.training_set) + option_words(machine.gan)


def learned_fit(wildcards):
    """The fit with the χ² that a network's density is compared with."""
    version = INVERSE_NETWORKS[wildcards.machine].version
    return expand(
        COEFFICIENT_FIT,
        observables=wildcards.observables,
        version=version,
        hadronic="none",
    )


def answer_words(wildcards, input):
    return [word for path in input for word in ("--answers", path)]


MIXTURES = [
    name
    for name, machine in INVERSE_NETWORKS.items()
    if machine.network.output == "mixture"
]
IMAGE_GANS = [
    name for name, machine in GANS.items() if machine.gan.architecture != "dense"
]


def contour_words(wildcards, input):
    words = [word for path in input.fits for word in ("--fit", path)]
    words += [word for path in input.answers for word in ("--answers", path)]
    return words + [
        word for path in input.measurement for word in ("--measurement", path)
    ]


def global_fit_files(wildcards):
    """Fits and figures of every set of observables, and what learns the first."""
    if not GLOBAL_FIT:
        raise WorkflowError(
            "global_fit: the configuration has no global fit; add `global_fit:` as in "
            "config/global-fit.yaml"
        )
    return [f"<results>/{path}" for path in GLOBAL_FIT.result_files()]


# ---------------------------------------------------------------- figures
INFORMATION = "<results>/theory/{image}/information.json"
TRAINING_FIGURES = ["network", "training"]
ESTIMATOR_FIGURES = ["histograms", "linearity", "linearity_unscaled"]


def shown_events(wildcards):
    return expand(EVENTS, split="test", point=CONFIG.shown_labels(), campaign="000")


def event_words(wildcards, input):
    return [word for path in input.events for word in ("--events", path)]


def coefficient_words(name):
    """Which shift a figure shows, where it is not the default."""
    return [] if name == "c9" else ["--coefficient", name]


def shown_words():
    """The shown points by their shifts, which labels of sampled points do not tell."""
    points = [
        point_label(CONFIG.point_shifts(label)) for label in CONFIG.shown_labels()
    ]
    return [word for point in points for word in ("--point", point)]


def information_words(wildcards):
    return shown_words() + coefficient_words(CONFIG.displayed_coefficient())


def drawn_words(wildcards):
    return coefficient_words(CONFIG.plotted_coefficient([wildcards.estimator]))


def linearity_words(wildcards):
    """The shift that is drawn, and of what each ensemble is shown, if not the default."""
    shown = CONFIG.figures.linearity
    words = [] if shown == "mean" else ["--ensembles", shown]
    return drawn_words(wildcards) + words


def compared_words(wildcards):
    names = CONFIG.estimators_for(wildcards.image)
    return coefficient_words(CONFIG.plotted_coefficient(names))


def distribution_words(wildcards):
    low, high = CONFIG.figures.distributions_q2_gev2
    words = ["--q2-min-gev2", low, "--q2-max-gev2", high]
    if GENERATION.flavour != "B0":
        words += ["--flavour", GENERATION.flavour]
    return words


def shown_shards(wildcards):
    return expand(
        SHARD,
        split="test",
        point=CONFIG.shown_labels(),
        campaign="000",
        allow_missing=True,
    )


def shown_predictions(wildcards):
    return expand(
        PREDICTIONS, split="test", point=CONFIG.shown_labels(), allow_missing=True
    )


def loss(wildcards):
    return TRAINED[wildcards.estimator].training.loss


def summary_words(wildcards, input):
    return [word for path in input.summaries for word in ("--summary", path)]


def image_summaries(wildcards):
    return expand(
        SUMMARY,
        image=wildcards.image,
        estimator=CONFIG.compared_estimators(wildcards.image),
    )


LUMINOSITY_SCAN = CONFIG.luminosity_scan()


def luminosity_summaries(wildcards):
    return [
        path
        for image, estimator in LUMINOSITY_SCAN
        for path in expand(SUMMARY, image=image, estimator=estimator)
    ]


def luminosity_words(wildcards):
    names = [estimator for _, estimator in LUMINOSITY_SCAN]
    return shown_words() + coefficient_words(CONFIG.plotted_coefficient(names))


def joint_measurements(wildcards):
    return expand(
        MEASUREMENT,
        image=wildcards.image,
        estimator=CONFIG.joint_estimators(wildcards.image),
        sample=wildcards.sample,
    )


def measurement_words(wildcards, input):
    return [word for path in input.measurements for word in ("--measurement", path)]


def figure_files(wildcards):
    if not CONFIG.has_images:
        raise WorkflowError(
            f"{CONFIG.run}: the configuration has a global fit alone; ask for it: "
            "snakemake global_fit"
        )
    run = expand(
        "<results>/figures/{name}.{suffix}",
        name=["topology", "distributions"]
        + (["luminosity"] if LUMINOSITY_SCAN else []),
        suffix=FIGURE_SUFFIXES,
    )
    image = expand(
        "<results>/figures/{image}/{name}.{suffix}",
        image=[image for image in CONFIG.images if CONFIG.estimators_for(image)],
        name=["voxels", "information", "sensitivity"],
        suffix=FIGURE_SUFFIXES,
    )
    estimator = for_each_estimator(
        "<results>/figures/{image}/{estimator}/{name}.{suffix}",
        name=ESTIMATOR_FIGURES,
        suffix=FIGURE_SUFFIXES,
    )
    training = for_each_estimator(
        "<results>/figures/{image}/{estimator}/{name}.{suffix}",
        TRAINED,
        name=TRAINING_FIGURES,
        suffix=FIGURE_SUFFIXES,
    )
    corner = expand(
        "<results>/figures/{image}/corner/{sample}.{suffix}",
        image=[image for image in CONFIG.images if CONFIG.joint_estimators(image)],
        sample=SAMPLES,
        suffix=FIGURE_SUFFIXES,
    )
    return run + image + estimator + training + corner


# ---------------------------------------------------------------- report
def reported_files(wildcards):
    """What report and crate tell of: figures, summaries and measurements, or a global fit alone.

    Of a run with both, the global fit once its own target has made it: like a scan it is run on
    request alone.
    """
    files = []
    if CONFIG.has_images:
        files += figure_files(wildcards) + summary_files(wildcards)
        files += measurement_files(wildcards)
    if CONFIG.includes_global_fit(Path(RUN_FOLDER)):
        files += global_fit_files(wildcards)
    return files


def report_page(name, category, table):
    """A page of the report, with its caption."""
    return report(
        ensure(f"<results>/report/{name}.html", non_empty=True),
        caption=f"../report/{name}.rst",
        category=category,
        labels={"table": table},
    )


def result_pages():
    """The pages of the results that the configuration asks for."""
    pages = {}
    if CONFIG.has_images:
        pages["summary"] = report_page("summary", "Summary", "estimators, every point")
        pages["measurements"] = report_page(
            "measurements", "Summary", "measured samples"
        )
    if GLOBAL_FIT:
        pages["global_fit"] = report_page(
            "global_fit", "Summary", "global fit, and what learned it"
        )
    return pages


def configuration_json(wildcards):
    """The values that the configuration names, without the defaults, in one line."""
    return CONFIG.model_dump_json(exclude_unset=True)


def report_folder(wildcards, output):
    return str(Path(output.configuration).parent)


def stylesheet(wildcards):
    return str(checkout() / "workflow/report/style.css")


def main_snakefile(wildcards):
    return workflow.main_snakefile


# ---------------------------------------------------------------- crate
CRATE = f"<results>/{CONFIG.run}.crate.zip"


def samples_table(wildcards):
    return [CONFIG.samples_table] if CONFIG.reads_samples else []


def packed_code(wildcards):
    """Digest of the code that goes into the crate, which is packed again after an edit."""
    return sources_digest()
