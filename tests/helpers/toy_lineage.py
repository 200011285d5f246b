"""Small lineage of arrays with real records: coefficients, events, shards and a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wilsonvox.provenance.recording import make_record
from wilsonvox.records.digests import digest_arrays


def write(
    path: str | Path,
    values: Sequence[float],
    rule: str,
    settings: Mapping[str, Any],
    inputs: Sequence[str | Path] = (),
    *,
    seed: int | None = None,
    options: Sequence[str] = (),
) -> Path:
    """Write `values` to an npz file with the record of stage `rule`."""
    arrays = {"values": np.array(values, dtype=float)}
    command = ["wilsonvox", rule, *options, "--out", str(path)]
    draft = make_record(rule, path, settings, inputs, seed, command)
    record = draft.written_to(path, digest_arrays(arrays.items()))
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as handle:
        np.savez(handle, provenance=np.array(record.to_json()), **arrays)
    return file


def write_run(
    run: str | Path,
    *,
    seed: int = 7,
    learning_rate: float = 0.01,
    threads: int = 2,
    campaigns: Sequence[str] = ("000", "001"),
    settings_in_content: bool = True,
) -> Path:
    """Write a run's event files, shards and model, and return the model's path.

    Like that of a real model, its content depends on all arguments; with `settings_in_content`
    false, it does not depend on the learning rate.
    """
    folder = Path(run)
    shards = []
    for campaign in campaigns:
        events = write(
            folder / f"events/{campaign}.npz", [seed, int(campaign)], "generate_events",
            {"campaign": campaign}, seed=seed, options=["--seed", str(seed)],
        )  # fmt: skip
        shards.append(
            write(folder / f"voxels/{campaign}.npz", [seed, int(campaign)], "voxelize",
                  {"image": {"bins": 8}}, [events])
        )  # fmt: skip
    rate = learning_rate if settings_in_content else 0
    return write(
        folder / "models/model.npz", [seed, rate, threads, len(campaigns)], "train",
        {"architecture": "resnet", "training": {"learning_rate": learning_rate}}, shards,
        seed=seed,
        options=["--learning-rate", str(learning_rate), "--seed", str(seed), "--threads",
                 str(threads)],
    )  # fmt: skip
