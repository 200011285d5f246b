"""`wilsonvox summarize`: summarize ensembles, one row per point and coefficient."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)


@click.command("summarize")
@click.option(
    "--predictions",
    "predictions",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="Prediction table of test or interpolation images (.parquet); repeatable.",
)
@click.option(
    "--coefficients",
    required=True,
    type=click.Path(path_type=Path),
    help="Angular coefficients of the decay (.npz), for the Cramér–Rao bound.",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Summary to write (.parquet)."
)
@click.option(
    "--csv",
    required=True,
    type=click.Path(path_type=Path),
    help="Copy of the summary as CSV to write (.csv).",
)
def command(predictions: tuple[Path, ...], coefficients: Path, out: Path, csv: Path) -> None:
    """Summarize ensembles: mean, bias, sigmas, response slope, σ over the Cramér–Rao bound.

    All numbers are shifts δC_i (dimensionless). The bound uses the q2 cuts [GeV²] and the number of
    events per image of the predictions' image specification. For several coefficients, the
    metadata of the Parquet file also contain their joint covariance at each point.
    """
    import hashlib

    import numpy as np

    from wilsonvox.core.errors import UserError
    from wilsonvox.core.files import atomic_path, require_file
    from wilsonvox.ensembles.summary import (
        joint_covariances,
        read_predictions,
        summarize,
        summary_csv,
    )
    from wilsonvox.ensembles.tables import SUMMARY_COLUMNS, write_table
    from wilsonvox.provenance.recording import make_record
    from wilsonvox.theory.coefficient_table import AngularCoefficients
    from wilsonvox.theory.fisher import covariance_bound
    from wilsonvox.voxels.compatibility import check_lepton
    from wilsonvox.voxels.image_distribution import image_distribution

    require_file(coefficients, "angular coefficients (.npz)")
    frame, metadata = read_predictions(predictions)
    angular = AngularCoefficients.load(coefficients)
    if angular.inputs.name != metadata.physics_inputs:
        raise UserError(
            f"{coefficients}: made with physics inputs {angular.inputs.name}, but the predictions "
            f"with {metadata.physics_inputs}; give a table with the same inputs"
        )
    check_lepton(coefficients, angular.model.lepton, "the predictions", metadata.lepton)
    image = metadata.image

    known: dict[tuple[object, ...], NDArray[np.float64]] = {}

    def covariance(shifts: Mapping[str, complex], names: tuple[str, ...]) -> "NDArray[np.float64]":
        key = (*sorted(shifts.items()), names)
        if key not in known:
            known[key] = covariance_bound(
                angular.model,
                shifts,
                names,
                float(image.events_per_image),
                image.q2_min_gev2,
                image.q2_max_gev2,
                image.vetoes_gev2,
                *image_distribution(image),
            )
        return known[key]

    def bound(shifts: Mapping[str, complex], names: tuple[str, ...]) -> Mapping[str, float]:
        roots = np.sqrt(np.diag(covariance(shifts, names)))
        return dict(zip(names, map(float, roots), strict=True))

    summary = summarize(frame, bound, metadata.trained)
    flat = summary[~(summary["response_slope"] > 0)]
    for point, name in zip(flat["point"], flat["coefficient"], strict=True):
        log.warning(
            "%s, %s: the response does not increase with the true shift; no σ over the bound",
            point,
            name,
        )
    joint = joint_covariances(frame, covariance)
    metadata = metadata.model_copy(update={"joint": joint})
    text = summary_csv(summary).encode()
    record = make_record(
        "summarize",
        out,
        settings={},
        inputs=[*predictions, coefficients],
        copies={str(csv): hashlib.sha256(text).hexdigest()},
    )
    with atomic_path(csv) as temporary:
        temporary.write_bytes(text)
        write_table(out, summary, SUMMARY_COLUMNS, metadata, record)
    log.info(
        "%s: %d points of estimator %s, median σ over the bound %.2f",
        out,
        len(summary),
        metadata.estimator,
        summary["sigma_over_bound"].median(),
    )
    if joint is not None:
        volumes = [entry.volume_over_bound for entry in joint.points]
        log.info(
            "%s together: volume of the covariance over that of the bound, mean %.2f",
            ", ".join(joint.coefficients),
            float(np.mean(volumes)),
        )
