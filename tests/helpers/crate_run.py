"""Small finished run, made without the workflow, for the tests of crates."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tests.helpers.toy_shards import IMAGE, toy_shard
from wilsonvox.config.reading import parse_configuration
from wilsonvox.ensembles.tables import SUMMARY_COLUMNS, TableMetadata, write_table
from wilsonvox.events.event_file import EventMetadata, Events, write_events
from wilsonvox.figures.saving import save_figure
from wilsonvox.provenance.recording import make_record
from wilsonvox.records.digests import content_digest
from wilsonvox.records.record import Record
from wilsonvox.stages.figures import FIGURE_STAGES
from wilsonvox.stages.run import Run
from wilsonvox.stages.table import figure_jobs, job_paths
from wilsonvox.voxels.specification import ImageSpecification

RUN = Path("results/small")
NAMES = Path("b8_n100/net")

CONFIGURATION: dict[str, Any] = {
    "run": "small",
    "seed": 7,
    "points": [
        {"shifts": {"c9": [0.0, -2.0]}, "n_images": {"train": 6, "validation": 6, "test": 6}}
    ],
    "images": {"b8_n100": {"bins": 8, "events_per_image": 100}},
    "estimators": {"net": {"images": ["b8_n100"]}},
    "samples_table": "table.tsv",
}


def _record(rule: str, output: Path, inputs: Sequence[Path], words: str, **given: Any) -> Record:
    settings = given.pop("settings", {})
    return make_record(rule, output, settings, inputs, command=words.split(), **given)


def _zip_model(path: Path, **given: Any) -> None:
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"weights")
    record = _record("train", path, **given).written_to(path, content_digest(path))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("provenance.json", record.to_json())


def _figure(path: Path, kind: str, inputs: Sequence[Path], words: str) -> None:
    png, pdf = path.with_suffix(".png"), path.with_suffix(".pdf")
    command = f"wilsonvox plot {kind} {words} --pdf {pdf} --png {png}"
    save_figure(Figure((1, 1)), pdf, png, _record(f"plot_{kind}", png, inputs, command))


def make_run() -> Path:
    """Write the run and its configuration into the working folder; return the run's folder."""
    events = RUN / "events/train/c9_+0.00/000.root"
    shard = RUN / "voxels/b8_n100/train/c9_+0.00/000.npz"
    model, history = RUN / "models" / NAMES / "model.keras", RUN / "models" / NAMES / "history.csv"
    summary = RUN / "evaluation" / NAMES / "summary.parquet"
    external, measured = Path("data/mine.root"), RUN / "samples/mine.root"
    measurement = RUN / "measurements" / NAMES / "mine.json"
    Path("config.yaml").write_text(json.dumps(CONFIGURATION))
    Path("table.tsv").write_text(f"sample\tpath\nmine\t{external}\n")

    columns = dict.fromkeys(("q2", "cos_theta_mu", "cos_theta_k", "chi", "m_kpi"), np.ones(9))
    some = Events.from_columns(columns | {"flavour": np.ones(9)})
    words = f"wilsonvox generate --point c9_+0.00 --events 9 --out {events}"
    settings = {"point": "c9_+0.00", "events": 9, "nothing": None}
    record = _record("generate_events", events, [], words, settings=settings, seed=7)
    write_events(events, [some], EventMetadata(origin="generated"), record)

    words = f"wilsonvox voxelize --events {events} --out {shard}"
    settings = {"image": IMAGE.model_dump(mode="json")}
    record = _record("voxelize", shard, [events], words, settings=settings, embed_inputs=True)
    toy_shard(0.0).save(shard, record)

    history.parent.mkdir(parents=True)
    history.write_text("epoch,loss\n0,1.0\n")
    history.parent.rename("kept")
    words = f"wilsonvox train --train {shard} --history {history} --out {model}"
    copies = {str(history): content_digest("kept/history.csv")}
    given = {"settings": {"architecture": "resnet", "estimator": "net"}, "seed": 7}
    _zip_model(model, inputs=[shard], words=words, copies=copies, **given)
    Path("kept/history.csv").rename(history)
    Path("kept").rmdir()

    row = {name: "c9" if kind == "str" else 1 for name, kind in SUMMARY_COLUMNS.items()}
    frame = pd.DataFrame([row])
    about = TableMetadata(estimator="net", image=ImageSpecification(), physics_inputs="toy")
    words = f"wilsonvox summarize --predictions {model} --out {summary}"
    record = _record("summarize", summary, [model], words)
    write_table(summary, frame, SUMMARY_COLUMNS, about, record)

    external.parent.mkdir()
    external.write_bytes(b"root of others")
    words = f"wilsonvox ingest --events {external} --out {measured}"
    record = make_record("ingest_events", measured, {"sample": "mine"}, command=words.split())
    given_file = {"path": "../../data/mine.root", "content_digest": content_digest("table.tsv")}
    record = Record.model_validate(record.model_dump() | {"inputs": [given_file]})
    write_events(measured, [some], EventMetadata(origin="ingested"), record)

    words = f"wilsonvox measure --run {RUN} --json {measurement}"
    draft = _record("measure", measurement, [model, measured], words)
    measurement.parent.mkdir(parents=True)
    measurement.write_text(json.dumps({"value": -0.9}))
    record = draft.written_to(measurement, content_digest(measurement))
    content = {"value": -0.9, "provenance": json.loads(record.to_json())}
    measurement.write_text(json.dumps(content))

    _figure(RUN / "figures/topology", "topology", [], "")
    _figure(RUN / "figures/distributions", "distributions", [events], f"--events {events}")
    _figure(RUN / "figures/b8_n100/sensitivity", "sensitivity", [summary], f"--summary {summary}")
    _figure(RUN / "figures" / NAMES / "training", "training", [history], f"--history {history}")
    for job in figure_jobs(Run(parse_configuration(CONFIGURATION), {}), FIGURE_STAGES):
        path = RUN / job_paths(job)[0]
        if not path.exists():
            kind = job.stage.removeprefix("plot_")
            _figure(path.with_suffix(""), kind, [summary], f"--summary {summary}")
    return RUN
