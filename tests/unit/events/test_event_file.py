import numpy as np
import pytest
import uproot

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import atomic_path
from wilsonvox.events.event_file import (
    BRANCHES,
    EventMetadata,
    Events,
    iterate_events,
    read_events,
    read_metadata,
    write_events,
)
from wilsonvox.provenance.recording import make_record
from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import read_record
from wilsonvox.theory.particles import MOMENTUM_BRANCHES


def events(n_events):
    rng = np.random.default_rng(n_events)
    return Events.from_columns(
        {name: rng.random(n_events) for name in BRANCHES} | {"flavour": np.ones(n_events)}
    )


@pytest.fixture
def path(tmp_path):
    out = tmp_path / "events.root"
    metadata = EventMetadata(origin="generated", point="c9_+0.00", shifts={"c9": 0.0})
    assert (
        write_events(
            out,
            [events(2000), events(500)],
            metadata,
            make_record("generate_events", "out.file", {}),
        )
        == 2500
    )
    return out


def test_round_trip(path):
    expected = Events.concatenate([events(2000), events(500)])
    found = read_events(path)
    for name, column in expected.columns().items():
        np.testing.assert_array_equal(found.columns()[name], column)
        assert found.columns()[name].dtype == BRANCHES[name]
    assert [len(chunk) for chunk in iterate_events(path, 1000)] == [1000, 1000, 500]
    assert read_metadata(path).level == "generator"


def test_four_momenta_are_further_branches(tmp_path, path):
    def momenta(number, chunk):
        return np.full((5, 4, len(chunk)), number) + np.arange(20.0).reshape(5, 4, 1)

    out = tmp_path / "momenta.root"
    record = make_record("generate_events", "out.file", {})
    metadata = EventMetadata(origin="generated", point="c9_+0.00", shifts={"c9": 0.0})
    write_events(out, [events(2000), events(500)], metadata, record, momenta)
    with uproot.open(out) as file:
        tree = file["events"]
        assert set(tree.keys()) == {*BRANCHES, *MOMENTUM_BRANCHES}
        energies = tree["mup_E"].array(library="np")
    np.testing.assert_array_equal(energies, np.repeat([12.0, 13.0], [2000, 500]))
    np.testing.assert_array_equal(read_events(out).q2, read_events(path).q2)
    assert content_digest(out) == read_record(out).content_digest != content_digest(path)


def test_metadata_of_older_files_and_complex_shifts():
    old = '{"origin":"generated","point":"c9_-0.90","shifts":{"c9":-0.9},"level":"generator"}'
    metadata = EventMetadata.model_validate_json(old)
    assert metadata.shifts == {"c9": -0.9}
    assert metadata.lepton is metadata.frame is metadata.antiparticle_shifts is None
    assert '"shifts":{"c9":-0.9}' in metadata.model_dump_json()
    shifts = {"c7": 0.5, "c9": -0.9 + 0.3j}
    again = EventMetadata(origin="generated", shifts=shifts).model_dump_json()
    assert EventMetadata.model_validate_json(again).shifts == shifts


def test_no_events_is_a_valid_file(tmp_path):
    out = tmp_path / "none.root"
    write_events(
        out, [], EventMetadata(origin="ingested"), make_record("generate_events", "out.file", {})
    )
    assert len(read_events(out)) == 0


def test_a_failed_write_leaves_nothing(tmp_path):
    def broken():
        yield events(10)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_events(
            tmp_path / "x.root",
            broken(),
            EventMetadata(origin="generated"),
            make_record("generate_events", "out.file", {}),
        )
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path):
    out = tmp_path / "x.txt"
    out.write_text("old")

    def fail():
        with atomic_path(out) as temporary:
            temporary.write_text("new")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "foreign", "branch"])
def test_other_files_are_refused(path, damage):
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-2000])
    elif damage == "text":
        path.write_text("hello")
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        with uproot.recreate(path) as file:
            name = "other" if damage == "foreign" else "events"
            file.mktree(name, {"q2": np.float32}).extend({"q2": np.ones(3, np.float32)})
            file["metadata"] = EventMetadata(origin="generated").model_dump_json()
    with pytest.raises(UserError, match=r"events\.root: ") as caught:
        read_events(path)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_events(tmp_path / "none.root")
    with pytest.raises(UserError, match="is a folder"):
        read_events(tmp_path)
