import json

import numpy as np
import pandas as pd
import pytest

from wilsonvox.ensembles.tables import PREDICTION_COLUMNS, TableMetadata, read_table, write_table
from wilsonvox.events.event_file import EventMetadata, Events, write_events
from wilsonvox.provenance.recording import current_command, make_record
from wilsonvox.records.digests import content_digest, digest_arrays
from wilsonvox.records.embedded import read_record, record_digest
from wilsonvox.records.record import Record
from wilsonvox.voxels.specification import ImageSpecification


def events(n_events=10, seed=1):
    rng = np.random.default_rng(seed)
    names = ("q2", "cos_theta_mu", "cos_theta_k", "chi", "m_kpi")
    columns = {name: rng.random(n_events) for name in names}
    return Events.from_columns(columns | {"flavour": np.ones(n_events)})


def predictions(n_images=4):
    return pd.DataFrame(
        {
            "point": "c9_-0.90",
            "split": "test",
            "campaign": "000",
            "image_index": np.arange(n_images),
            "coefficient": "c9",
            "true": -0.9,
            "predicted": np.linspace(-1, -0.8, n_images),
            "error": np.nan,
        }
    )


METADATA = TableMetadata(
    estimator="resnet-small", image=ImageSpecification(), physics_inputs="evtgen-btosllnpr"
)


def test_record_contains_no_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.txt").write_text("x")
    inside, outside = str(tmp_path / "in.txt"), "/nowhere/near/file.root"
    record = make_record(
        "generate_events",
        "out.file",
        {"a": 1},
        [inside],
        seed=3,
        command=["wilsonvox", inside, f"--out={outside}"],
    )
    assert record.command == ("wilsonvox", "in.txt", "--out=file.root")
    assert record.inputs[0].path == "in.txt"
    assert record.inputs[0].record_digest is None
    assert record.packages["numpy"] == np.__version__
    assert record.seed == 3
    assert "/nowhere" not in record.to_json()
    assert Record.model_validate_json(record.to_json()) == record.sealed()


def test_record_contains_the_running_command():
    token = current_command.set(("wilsonvox", "train"))
    try:
        assert make_record("train", "out.file", {}).command == ("wilsonvox", "train")
    finally:
        current_command.reset(token)


def test_equal_runs_give_equal_records():
    one, two = (
        make_record("generate_events", "out.file", {"b": 2, "a": 1}),
        make_record("generate_events", "out.file", {"a": 1, "b": 2}),
    )
    assert one.digest() == two.digest()
    assert one.digest() != make_record("generate_events", "out.file", {"a": 2, "b": 2}).digest()


def test_root_record_and_digest(tmp_path):
    record = make_record("generate_events", "out.file", {"x": 1})
    paths = [tmp_path / f"{name}.root" for name in "abc"]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        write_events(path, [events(seed=seed)], EventMetadata(origin="generated"), record)
    stored = read_record(paths[0])
    assert stored == record.written_to("out.file", content_digest(paths[0])).sealed()
    digests = [content_digest(path) for path in paths]
    assert digests[0] == digests[1] != digests[2]
    assert paths[0].read_bytes() != paths[1].read_bytes()  # why digests are over content
    assert record_digest(paths[0]) == stored.digest() == record_digest(paths[1])
    relabelled = EventMetadata(origin="generated", point="c9_-1.00")
    write_events(paths[2], [events(seed=1)], relabelled, record)
    assert content_digest(paths[2]) != digests[0]


def test_digest_does_not_depend_on_chunks(tmp_path):
    whole = events(3000)
    record, metadata = (
        make_record("generate_events", "out.file", {}),
        EventMetadata(origin="generated"),
    )
    write_events(tmp_path / "a.root", [whole], metadata, record)
    write_events(tmp_path / "b.root", [whole[:1000], whole[1000:]], metadata, record)
    assert content_digest(tmp_path / "a.root") == content_digest(tmp_path / "b.root")


def test_parquet_record_and_digest(tmp_path):
    record = make_record("evaluate", "out.file", {})
    for name in ("a", "b"):
        write_table(
            tmp_path / f"{name}.parquet", predictions(), PREDICTION_COLUMNS, METADATA, record
        )
    path = tmp_path / "a.parquet"
    assert path.read_bytes() == (tmp_path / "b.parquet").read_bytes()
    stored = read_record(path)
    assert stored is not None
    assert stored.content_digest == content_digest(path)
    frame, metadata = read_table(path, PREDICTION_COLUMNS)
    assert metadata == METADATA
    assert list(frame.columns) == list(PREDICTION_COLUMNS)
    assert frame["predicted"].tolist() == predictions()["predicted"].tolist()
    assert frame["error"].isna().all()


def test_json_record(tmp_path):
    path = tmp_path / "m.json"
    record = make_record("measure", "out.file", {})
    content = {"value": 1.5}
    path.write_text(json.dumps(content | {"provenance": json.loads(record.to_json())}))
    assert read_record(path) == record.sealed()
    plain = tmp_path / "n.json"
    plain.write_text(json.dumps(content))
    assert content_digest(path) == content_digest(plain)
    assert read_record(plain) is None


def test_digest_of_unknown_formats_covers_the_bytes(tmp_path):
    import hashlib

    path = tmp_path / "x.csv"
    path.write_bytes(b"a,b\n")
    assert content_digest(path) == hashlib.sha256(b"a,b\n").hexdigest()
    assert read_record(path) is None
    assert record_digest(path) is None


def test_digest_of_external_root_files_covers_the_bytes(tmp_path):
    import hashlib

    import uproot

    path = tmp_path / "x.root"
    with uproot.recreate(path) as file:
        file.mktree("events", {"E": np.float64}).extend({"E": np.arange(3.0)})
    assert content_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_record(path) is None


def test_digest_depends_on_name_dtype_shape_and_value():
    base = np.arange(6, dtype=np.int32)
    digests = {
        digest_arrays([("a", base)]),
        digest_arrays([("b", base)]),
        digest_arrays([("a", base.astype(np.int64))]),
        digest_arrays([("a", base.reshape(2, 3))]),
        digest_arrays([("a", base + 1)]),
    }
    assert len(digests) == 5
    two = [("a", base), ("b", base)]
    assert digest_arrays(two) == digest_arrays(two[::-1])


def test_reading_a_table_rejects_other_files(tmp_path):
    from wilsonvox.core.errors import UserError

    path = tmp_path / "x.parquet"
    path.write_text("not parquet")
    with pytest.raises(UserError, match=r"x\.parquet: not a table"):
        read_table(path, PREDICTION_COLUMNS)
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(UserError, match=r"x\.parquet: not a table"):
        read_table(path, PREDICTION_COLUMNS)
    with pytest.raises(UserError, match="does not exist"):
        read_table(tmp_path / "none.parquet", PREDICTION_COLUMNS)


def test_absolute_paths_in_lists_are_made_portable(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["wilsonvox", f"/nowhere/a.root,{tmp_path / 'b.root'}", "--vetoes-gev2", "8:11,12.7:14"]
    record = make_record("generate_events", "out.file", {}, command=words)
    assert record.command[1:] == ("a.root,b.root", "--vetoes-gev2", "8:11,12.7:14")
