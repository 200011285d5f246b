"""`wilsonvox prepare`: prepare an estimator that fits events from the decay model."""

import logging
from typing import Any

import click
from click.core import ParameterSource

from wilsonvox.cli.options import decay_options, model_from, options_from
from wilsonvox.config.option_words import option_name
from wilsonvox.core.errors import UserError
from wilsonvox.estimators import EVENT_ARCHITECTURES
from wilsonvox.estimators.settings import (
    AngularLikelihoodSettings,
    EventSettings,
    FittedShifts,
    LikelihoodSettings,
)
from wilsonvox.voxels.specification import ImageSpecification

logger = logging.getLogger(__name__)

SETTINGS: dict[str, type[EventSettings]] = {
    "likelihood": LikelihoodSettings,
    "angular-likelihood": AngularLikelihoodSettings,
}
"""Settings of each architecture."""


@click.command("prepare")
@click.option("--estimator", required=True, metavar="NAME", help="Name of the estimator.")
@click.option(
    "--architecture",
    type=click.Choice(list(EVENT_ARCHITECTURES)),
    required=True,
    help="Type of the fit.",
)
@options_from(FittedShifts)
@options_from(AngularLikelihoodSettings)
@options_from(ImageSpecification)
@decay_options
@click.option("--out", required=True, metavar="FILE.npz", help="Prepared estimator to write.")
def command(
    estimator: str,
    architecture: str,
    physics_inputs: str,
    lepton: Any,
    antiparticle_shifts: Any,
    out: str,
    **options: Any,
) -> None:
    """Prepare a fit of the decay model to the events of images.

    Computes everything that does not depend on the events and writes it, with the decay model, to
    one file. Nothing is trained.
    """
    from wilsonvox.estimators.fits.prepared import PreparedMetadata, prepare, save_prepared
    from wilsonvox.provenance.recording import make_record
    from wilsonvox.theory.model import DecayModel
    from wilsonvox.theory.physics_inputs import load_inputs

    _check_options(architecture)
    model = DecayModel(load_inputs(physics_inputs), lepton, antiparticle_shifts)
    metadata = PreparedMetadata(
        estimator=estimator,
        architecture=architecture,
        image=model_from(ImageSpecification, options),
        coefficients=model_from(FittedShifts, options).coefficients,
        physics_inputs=physics_inputs,
        lepton=lepton,
        antiparticle_shifts=antiparticle_shifts,
        settings=model_from(SETTINGS[architecture], options),
    )
    arrays = prepare(metadata, model)
    record = make_record("prepare_estimator", out, metadata.model_dump(mode="json"))
    save_prepared(out, metadata, model, arrays, record)
    logger.info("%s: %s of %s prepared", estimator, architecture, ", ".join(metadata.coefficients))


def _check_options(architecture: str) -> None:
    """Check that no option of another architecture was given.

    Raises:
        UserError: the architecture does not have an option that was given.
    """
    context = click.get_current_context()
    for name in AngularLikelihoodSettings.model_fields:
        given = context.get_parameter_source(option_name(AngularLikelihoodSettings, name))
        if name not in SETTINGS[architecture].model_fields and given != ParameterSource.DEFAULT:
            raise UserError(
                f"--{name.replace('_', '-')}: not an option of architecture {architecture}"
            )
