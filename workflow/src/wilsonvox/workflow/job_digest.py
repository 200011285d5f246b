"""What a job of the workflow depends on in configuration and code, as one digest.

Snakemake compares a job's own parameters with those of its last run. That is not enough after a
run that failed half-way: it deletes the outputs of a job before it runs, and with them what it knew
of them, and then takes old figures over a missing model for up to date. Each rule therefore has one
parameter that changes whenever anything before it does: settings of its own stage and of all before
it, their code, and the locked versions of the packages that they use.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from wilsonvox.config.global_fit import GlobalFitSettings
from wilsonvox.config.run import RunConfiguration
from wilsonvox.config.samples import SampleRow
from wilsonvox.global_fit.observables import load_observables
from wilsonvox.provenance.code import stage_digest
from wilsonvox.provenance.stages import FOUR_MOMENTA
from wilsonvox.theory.points import is_sampled

_TRAINING_SPLITS = ("train", "validation")
_EVALUATED_SPLITS = ("test", "interpolation")


class Lineage:
    """Everything behind each output of a run, by the wildcards of its path.

    Args:
        configuration: of the run.
        samples: rows of the samples that it measures, by name.
    """

    def __init__(self, configuration: RunConfiguration, samples: Mapping[str, SampleRow]) -> None:
        self.configuration = configuration
        self.samples = samples
        self._known: dict[tuple[str, ...], str] = {}

    def digest(self, stage: str, **wildcards: str) -> str:
        """SHA-256 (hexadecimal) of what is behind the outputs of `stage`.

        Args:
            stage: name of the rule.
            wildcards: those of its outputs: point, split, campaign, image, estimator, sample.
        """
        key = (stage, *(f"{name}={value}" for name, value in sorted(wildcards.items())))
        if key not in self._known:
            estimator, image = wildcards.get("estimator"), wildcards.get("image")
            names = [estimator] if estimator else self._estimators_for(image) if image else []
            estimators = self.configuration.estimators
            kinds: list[str] = [estimators[name].architecture for name in names]
            if stage == "generate_events" and self.configuration.generation.four_momenta:
                kinds = [FOUR_MOMENTA]
            settings = getattr(self, f"_{stage}")(**wildcards)
            text = json.dumps([stage_digest(stage, kinds), settings], sort_keys=True)
            self._known[key] = hashlib.sha256(text.encode()).hexdigest()
        return self._known[key]

    def _estimators_for(self, image: str) -> list[str]:
        return self.configuration.estimators_for(image)

    # one method a stage, named as its rule: what its own settings are, and what it reads
    def _decay(self) -> Any:
        """What decides on the decay: one word, where all else is left to its default."""
        generation = self.configuration.generation
        other = generation.model_dump(
            mode="json", include={"lepton", "antiparticle_shifts"}, exclude_defaults=True
        )
        inputs = self.configuration.physics_inputs
        return [inputs, other] if other else inputs

    def _angular_coefficients(self) -> Any:
        return self._decay()

    def _generate_events(self, point: str, split: str, campaign: str) -> Any:
        events = self.configuration.campaign_events(point, split, campaign)
        settings: list[Any] = [self.configuration.seed, events, self.digest("angular_coefficients")]
        if is_sampled(point):
            settings.append(self.configuration.point_shifts(point))
        other = self.configuration.generation.model_dump(
            mode="json", include={"flavour", "four_momenta", "frame"}, exclude_defaults=True
        )
        return [*settings, other] if other else settings

    def _ingest_events(self, sample: str) -> Any:
        return self.samples[sample].model_dump(mode="json")

    def _image(self, image: str) -> Any:
        return self.configuration.images[image].specification.model_dump(mode="json")

    def _voxelize(self, image: str, point: str, split: str, campaign: str) -> Any:
        n_images = self.configuration.images_in_campaign(image, point, split, campaign)
        events = self.digest("generate_events", point=point, split=split, campaign=campaign)
        return [self._image(image), n_images, events]

    def _voxelize_sample(self, image: str, sample: str) -> Any:
        return [self._image(image), self.digest("ingest_events", sample=sample)]

    def _campaigns(self, stage: str, split: str, points: Iterable[str], **wildcards: str) -> Any:
        """Digests of all campaigns of `split` at `points`; their order counts in a training."""
        return [
            (
                f"{split}/{point}/{campaign}",
                self.digest(stage, point=point, split=split, campaign=campaign, **wildcards),
            )
            for point in points
            for campaign in self.configuration.campaigns(point, split)
        ]

    def _training_shards(self, image: str) -> Any:
        return [
            self._campaigns("voxelize", split, self.configuration.labels(split), image=image)
            for split in _TRAINING_SPLITS
        ]

    def _estimator(self, estimator: str) -> Any:
        return self.configuration.estimators[estimator].model_dump(mode="json", exclude={"images"})

    def _train(self, image: str, estimator: str) -> Any:
        settings, seed = self._estimator(estimator), self.configuration.seed
        return [estimator, settings, seed, self._training_shards(image)]

    def _train_voxel_sum(self, image: str, estimator: str) -> Any:
        return [estimator, self._estimator(estimator), self._training_shards(image)]

    def _prepare_estimator(self, image: str, estimator: str) -> Any:
        return [estimator, self._estimator(estimator), self._image(image), self._decay()]

    def _evaluate(self, image: str, estimator: str, split: str, point: str) -> Any:
        stage = "train_voxel_sum" if estimator in self.configuration.voxel_sums() else "train"
        model = self.digest(stage, image=image, estimator=estimator)
        return [model, self._campaigns("voxelize", split, [point], image=image)]

    def _evaluate_events(self, image: str, estimator: str, split: str, point: str) -> Any:
        model = self.digest("prepare_estimator", image=image, estimator=estimator)
        return [model, self._campaigns("voxelize", split, [point], image=image)]

    # of a scan: a round is suggested from all trials before it, so its lineage holds theirs
    def _trials(self, image: str, estimator: str, numbers: Iterable[int]) -> Any:
        stage = (
            "train_trial_voxel_sum"
            if estimator in self.configuration.voxel_sums()
            else "train_trial"
        )
        return [
            self.digest(stage, image=image, estimator=estimator, trial=f"{number:03d}")
            for number in numbers
        ]

    def _suggest_trials(self, image: str, estimator: str, round: str) -> Any:  # noqa: A002
        scan, number = self.configuration.scan[estimator], int(round)
        base = self.configuration.scanned_estimator(estimator)
        settings = scan.model_dump(mode="json", exclude={"rounds", "seed", "fixed"})
        return [
            estimator,
            base.model_dump(mode="json", exclude={"images"}),
            settings,
            self.configuration.scan_seed(estimator),
            number,
            self._trials(image, estimator, range(scan.trials(number).start)),
        ]

    def _train_trial_voxel_sum(self, image: str, estimator: str, trial: str) -> Any:
        number = self.configuration.scan[estimator].round_of(int(trial))
        suggestions = self.digest(
            "suggest_trials", image=image, estimator=estimator, round=str(number)
        )
        return [trial, suggestions, self._training_shards(image)]

    def _train_trial(self, image: str, estimator: str, trial: str) -> Any:
        return [self.configuration.seed, self._train_trial_voxel_sum(image, estimator, trial)]

    def _collect_trials(self, image: str, estimator: str) -> Any:
        return self._trials(image, estimator, range(self.configuration.scan[estimator].n_trials))

    def _plot_scan(self, image: str, estimator: str) -> Any:
        return self.digest("collect_trials", image=image, estimator=estimator)

    def _predictions(self, image: str, estimator: str, splits: Iterable[str]) -> Any:
        trains = self.configuration.estimators[estimator].trains
        return {
            f"{split}/{point}": self.digest(
                "evaluate" if trains else "evaluate_events",
                image=image,
                estimator=estimator,
                split=split,
                point=point,
            )
            for split in splits
            for point in self.configuration.labels(split)
        }

    def _summarize(self, image: str, estimator: str) -> Any:
        predictions = self._predictions(image, estimator, _EVALUATED_SPLITS)
        return [predictions, self.digest("angular_coefficients")]

    def _measure(self, image: str, estimator: str, sample: str) -> Any:
        summary = self.digest("summarize", image=image, estimator=estimator)
        return [summary, self.digest("voxelize_sample", image=image, sample=sample)]

    def _measure_events(self, image: str, estimator: str, sample: str) -> Any:
        summary = self.digest("summarize", image=image, estimator=estimator)
        return [summary, self.digest("ingest_events", sample=sample)]

    def _image_information(self, image: str) -> Any:
        return [self._image(image), self._shown, self.digest("angular_coefficients")]

    def _plot_topology(self) -> Any:
        return None

    @cached_property
    def _shown(self) -> list[str]:
        return self.configuration.shown_labels()

    def _plot_distributions(self) -> Any:
        events = [
            self.digest("generate_events", point=point, split="test", campaign="000")
            for point in self._shown
        ]
        return [self.configuration.figures.distributions_q2_gev2, events]

    def _plot_voxels(self, image: str) -> Any:
        return [
            self.digest("voxelize", image=image, point=point, split="test", campaign="000")
            for point in self._shown
        ]

    def _plot_information(self, image: str) -> Any:
        return self.digest("image_information", image=image)

    def _plot_network(self, image: str, estimator: str) -> Any:
        return self.digest("train", image=image, estimator=estimator)

    def _plot_training(self, image: str, estimator: str) -> Any:
        return self.digest("train", image=image, estimator=estimator)

    def _plot_histograms(self, image: str, estimator: str) -> Any:
        predictions = self._predictions(image, estimator, ["test"])
        return self._drawn([predictions[f"test/{point}"] for point in self._shown], [estimator])

    def _drawn(self, inputs: Any, estimators: list[str]) -> Any:
        """Inputs of a figure, and the shift that it shows where it is not the default."""
        name = self.configuration.plotted_coefficient(estimators)
        return inputs if name == "c9" else [inputs, name]

    def _plot_linearity(self, image: str, estimator: str) -> Any:
        summary = self.digest("summarize", image=image, estimator=estimator)
        drawn = self._drawn(summary, [estimator])
        shown = self.configuration.figures.linearity
        return drawn if shown == "mean" else [drawn, shown]

    def _plot_linearity_unscaled(self, image: str, estimator: str) -> Any:
        return self._plot_linearity(image, estimator)

    def _plot_sensitivity(self, image: str) -> Any:
        summaries = {
            estimator: self.digest("summarize", image=image, estimator=estimator)
            for estimator in self.configuration.compared_estimators(image)
        }
        return self._drawn(summaries, self._estimators_for(image))

    def _plot_luminosity(self) -> Any:
        scan = self.configuration.luminosity_scan()
        summaries = {
            f"{image}/{estimator}": self.digest("summarize", image=image, estimator=estimator)
            for image, estimator in scan
        }
        return [self._shown, self._drawn(summaries, [estimator for _, estimator in scan])]

    def _plot_corner(self, image: str, sample: str) -> Any:
        stages = {
            name: "measure" if self.configuration.estimators[name].trains else "measure_events"
            for name in self.configuration.joint_estimators(image)
        }
        return {
            name: self.digest(stage, image=image, estimator=name, sample=sample)
            for name, stage in stages.items()
        }

    # of a global fit: a set counts by its content, be it the package's or a user's file
    @property
    def _global_fit(self) -> GlobalFitSettings:
        assert self.configuration.global_fit is not None
        return self.configuration.global_fit

    def _tabulate_observables(self, observables: str) -> Any:
        settings = self._global_fit
        content = load_observables(settings.observable_sets()[observables])
        return [content.model_dump(mode="json"), settings.theory_draws, self.configuration.seed]

    def _fit_coefficients(self, observables: str, version: str, hadronic: str) -> Any:
        settings = self._global_fit
        table = self.digest("tabulate_observables", observables=observables)
        ranges = settings.half_widths if hadronic != "none" else None
        return [version, hadronic, ranges, settings.levels, settings.points, table]

    def _train_inverse_network(self, observables: str, machine: str) -> Any:
        settings = self._global_fit.networks[machine].model_dump(mode="json")
        table = self.digest("tabulate_observables", observables=observables)
        return [machine, settings, self.configuration.seed, table]

    def _train_gan(self, observables: str, machine: str) -> Any:
        settings = self._global_fit.gans[machine].model_dump(mode="json")
        table = self.digest("tabulate_observables", observables=observables)
        return [machine, settings, self.configuration.seed, table]

    def _machines(self, observables: str) -> list[str]:
        settings = self._global_fit
        if observables != settings.learned_set():
            return []
        own = {"observables": observables}
        return [
            *(self.digest("train_inverse_network", machine=m, **own) for m in settings.networks),
            *(self.digest("train_gan", machine=m, **own) for m in settings.gans),
        ]

    def _measure_for_global_fit(self) -> Any:
        measurement = self._global_fit.measurement
        return None if measurement is None else measurement.model_dump(mode="json")

    def _plot_global_fit_observables(self, observables: str) -> Any:
        settings = self._global_fit
        shown = {"version": settings.versions[0], "hadronic": settings.hadronic[0]}
        return self.digest("fit_coefficients", observables=observables, **shown)

    def _plot_global_fit_contours(self, observables: str) -> Any:
        settings = self._global_fit
        fits = [
            self.digest(
                "fit_coefficients", observables=observables, version=version, hadronic=hadronic
            )
            for version in settings.versions
            for hadronic in settings.hadronic
        ]
        shown: list[Any] = [fits, self._machines(observables)]
        if settings.measurement is not None:
            shown.append(self.digest("measure_for_global_fit"))
        return shown

    def _plot_global_fit_training_sets(self, observables: str) -> Any:
        return self._machines(observables)

    def _plot_global_fit_best_sample(self, observables: str, machine: str) -> Any:
        is_network = machine in self._global_fit.networks
        rule = "train_inverse_network" if is_network else "train_gan"
        return self.digest(rule, observables=observables, machine=machine)

    def _plot_global_fit_network(self, observables: str, machine: str) -> Any:
        return self.digest("train_inverse_network", observables=observables, machine=machine)

    def _plot_global_fit_gan(self, observables: str, machine: str) -> Any:
        return self.digest("train_gan", observables=observables, machine=machine)

    def _plot_global_fit_images(self, observables: str, machine: str) -> Any:
        return self.digest("train_gan", observables=observables, machine=machine)

    def _plot_global_fit_posterior(self, observables: str, machine: str) -> Any:
        version = self._global_fit.networks[machine].version
        answers = self.digest("train_inverse_network", observables=observables, machine=machine)
        fit = {"observables": observables, "version": version, "hadronic": "none"}
        return [answers, self.digest("fit_coefficients", **fit)]
