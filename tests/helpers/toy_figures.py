"""Toy inputs of figures: events, images, predictions and summaries with made-up numbers."""

import numpy as np
import pandas as pd

from wilsonvox.ensembles.tables import TableMetadata
from wilsonvox.events.event_file import Events
from wilsonvox.theory.points import point_label, shift_vector
from wilsonvox.voxels.shards import Shard, ShardMetadata
from wilsonvox.voxels.specification import ImageSpecification

POINTS = (0.0, -2.0)
IMAGE = ImageSpecification(bins=6, events_per_image=100)
FEWER = 4
FEW_EVENTS = IMAGE.model_copy(update={"events_per_image": 100 // FEWER})
TRAINED = [-2.0, -1.0, 0.0, 0.5]
BETWEEN = [-1.5, 0.25]


def toy_events(c9, n=4000, flavour=1):
    rng = np.random.default_rng([7, round(-c9 * 10), n])
    return Events.from_columns(
        {
            "q2": rng.uniform(0.1, 19, n),
            "cos_theta_mu": np.clip(rng.normal(c9 / 8, 0.5, n), -1, 1),
            "cos_theta_k": rng.uniform(-1, 1, n),
            "chi": rng.uniform(0, 2 * np.pi, n),
            "m_kpi": rng.normal(0.89, 0.02, n),
            "flavour": np.full(n, flavour),
        }
    )


def toy_shard(c9, sample=None):
    rng = np.random.default_rng([8, round(-c9 * 10)])
    occupied = [np.sort(rng.choice(IMAGE.bins**3, size, replace=False)) for size in (60, 75)]
    voxel = np.concatenate(occupied).astype(np.int32)
    shifts = np.tile(shift_vector({"c9": c9}), (2, 1))
    return Shard(
        metadata=ShardMetadata(
            image=IMAGE,
            origin="generated" if sample is None else "ingested",
            point=point_label({"c9": c9}) if sample is None else None,
            sample=sample,
            physics_inputs="toy" if sample is None else None,
            n_events_in_file=200,
            n_events_cut={},
            n_events_used=200,
            n_events_left_over=0,
        ),
        voxel=voxel,
        mean_q2=rng.uniform(0, 20, len(voxel)).astype(np.float32),
        count=np.ones(len(voxel), dtype=np.uint16),
        offsets=np.array([0, 60, 135]),
        shifts=shifts if sample is None else np.full_like(shifts, np.nan),
        n_events=np.array([100, 100]),
        source_range=np.array([[0, 100], [100, 200]]),
    )


def toy_metadata(estimator="resnet", image=IMAGE):
    return TableMetadata(estimator=estimator, image=image, physics_inputs="toy")


def toy_predictions(c9, n=150):
    rng = np.random.default_rng([9, round(-c9 * 10)])
    return pd.DataFrame(
        {
            "point": point_label({"c9": c9}),
            "split": "test",
            "campaign": "000",
            "image_index": np.arange(n),
            "coefficient": "c9",
            "true": c9,
            "predicted": rng.normal(c9 + 0.03, 0.1, n),
            "error": np.nan,
        }
    )


def toy_summary(factor=1.5, values=(*TRAINED, *BETWEEN)):
    true = np.array(values)
    bound = 0.05 + 0.01 * true
    slope = np.full(len(true), 0.9)
    sigma = bound * factor * slope
    return pd.DataFrame(
        {
            "point": [point_label({"c9": value}) for value in values],
            "coefficient": "c9",
            "true": true,
            "seen_in_training": [value in TRAINED for value in values],
            "n_images": 400,
            "mean": 0.9 * true - 0.05,
            "bias": -0.1 * true - 0.05,
            "sigma_left": 1.1 * sigma,
            "sigma_right": 0.9 * sigma,
            "sigma": sigma,
            "response_slope": slope,
            "bound": bound,
            "sigma_over_bound": sigma / slope / bound,
            "gauss_mean": 0.9 * true - 0.05,
            "gauss_sigma": sigma,
            "coverage_68": 0.68,
            "coverage_95": 0.95,
        }
    )


HISTORY = pd.DataFrame(
    {
        "epoch": np.arange(1.0, 13.0),
        "loss": np.geomspace(0.6, 0.05, 12),
        "val_loss": [0.7, 0.5, 0.4, 0.35, 0.3, 0.2, 0.21, 0.15, 0.12, 0.11, 0.13, 0.14],
        "learning_rate": [0.01] * 6 + [0.002] * 6,
    }
)
