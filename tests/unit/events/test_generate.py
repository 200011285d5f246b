import numpy as np
import pytest

from wilsonvox.cli import run
from wilsonvox.events.event_file import BRANCHES, read_events, read_metadata
from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import read_record


@pytest.fixture(scope="module")
def coefficients(tmp_path_factory):
    path = tmp_path_factory.mktemp("theory") / "coefficients.npz"
    assert run(["coefficients", "--out", str(path)]) == 0
    return path


def generate(out, coefficients, *extra):
    words = ["generate", "--point", "c9_-0.90", "--events", "3000", "--seed", "7"]
    return run([*words, "--coefficients", str(coefficients), "--out", str(out), *extra])


def test_event_contract(coefficients, tmp_path):
    import uproot

    out = tmp_path / "events.root"
    assert generate(out, coefficients) == 0
    with uproot.open(out) as file:
        tree = file["events"]
        assert tree.classname == "TTree"
        found = {b.name: b.interpretation.numpy_dtype for b in tree.branches}
        assert found == BRANCHES
    metadata = read_metadata(out)
    assert metadata.shifts == {"c9": -0.9}
    assert metadata.physics_inputs == "evtgen-btosllnpr"
    assert (metadata.lepton, metadata.antiparticle_shifts) == ("muon", "equal")
    assert metadata.frame is None
    record = read_record(out)
    assert record is not None
    assert record.seed == 7
    assert record.rule == "generate_events"
    assert record.command[:2] == ("wilsonvox", "generate")
    assert str(tmp_path) not in record.to_json()


def test_same_command_same_content(coefficients, tmp_path):
    paths = [tmp_path / name for name in ("a.root", "b.root")]
    assert [generate(path, coefficients) for path in paths] == [0, 0]
    assert content_digest(paths[0]) == content_digest(paths[1])
    other = tmp_path / "c.root"
    assert generate(other, coefficients, "--campaign", "001") == 0
    assert content_digest(other) != content_digest(paths[0])


def test_options_of_the_decay(coefficients, tmp_path):
    plain, threads, anti, complex_point = (tmp_path / f"{name}.root" for name in "abcd")
    assert generate(plain, coefficients) == 0
    assert generate(threads, coefficients, "--threads", "2") == 0
    assert content_digest(threads) == content_digest(plain)
    assert generate(anti, coefficients, "--flavour", "B0bar") == 0
    assert set(read_events(anti).flavour) == {-1}
    point = "c7_+0.10-0.20i__c9p_+1.00"
    assert generate(complex_point, coefficients, "--point", point) == 0
    assert read_metadata(complex_point).shifts == {"c7": 0.1 - 0.2j, "c9p": 1.0}
    assert read_metadata(complex_point).point == point


def test_options_that_are_those_of_the_table_are_taken(coefficients, tmp_path):
    words = ["--lepton", "muon", "--physics-inputs", "evtgen-btosllnpr"]
    assert generate(tmp_path / "events.root", coefficients, *words) == 0


def test_electrons_without_a_table(tmp_path):
    out = tmp_path / "events.root"
    words = ["generate", "--point", "c9_-0.90", "--events", "3000", "--seed", "7"]
    assert run([*words, "--lepton", "electron", "--out", str(out)]) == 0
    assert read_metadata(out).lepton == "electron"
    assert 1e-6 < read_events(out).q2.min() < 0.04


def test_table_is_optional(coefficients, tmp_path):
    with_table, without = tmp_path / "a.root", tmp_path / "b.root"
    assert generate(with_table, coefficients) == 0
    words = ["generate", "--point", "c9_-0.90", "--events", "3000", "--seed", "7"]
    assert run([*words, "--out", str(without)]) == 0
    np.testing.assert_array_equal(read_events(with_table).q2, read_events(without).q2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--point", "c9_-0.9"], "not a point label"),
        (["--point", "c11_-0.90"], "not a point label"),
        (["--lepton", "electron"], "was made for muon"),
        (["--antiparticle-shifts", "conjugate"], "was made for equal"),
        (["--physics-inputs", "flavio"], "was made for evtgen-btosllnpr"),
        (["--frame", "belle2"], "give --four-momenta"),
        (["--flavour", "B0Bar"], "--flavour"),
        (["--threads", "0"], "--threads"),
        (["--campaign", "1"], "three digits"),
        (["--coefficients", "nowhere.npz"], "nowhere.npz: does not exist"),
        (["--events", "0"], "--events"),
        (["--splt", "train"], "--split"),
    ],
)
def test_bad_input_is_one_line(coefficients, tmp_path, capsys, words, message):
    out = tmp_path / "events.root"
    assert generate(out, coefficients, *words) == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert list(tmp_path.iterdir()) == []


def test_damaged_table(tmp_path, capsys):
    table = tmp_path / "table.npz"
    np.savez(table, names=np.array(["x"]))
    assert generate(tmp_path / "events.root", table) == 1
    assert "table.npz: not a table of angular coefficients" in capsys.readouterr().err


def test_unwritable_folder(coefficients, tmp_path, capsys):
    blocker = tmp_path / "file"
    blocker.write_text("")
    assert generate(blocker / "events.root", coefficients) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_unknown_inputs(tmp_path, capsys):
    assert run(["coefficients", "--physics-inputs", "x", "--out", str(tmp_path / "t.npz")]) == 1
    assert "known are evtgen-btosllnpr" in capsys.readouterr().err


def test_unknown_command(capsys):
    assert run(["voxelise"]) == 1
    assert "did you mean 'voxelize'" in capsys.readouterr().err


def test_a_sampled_point_is_generated_with_its_shifts(tmp_path):
    out = tmp_path / "a.root"
    words = ["generate", "--point", "sobol_0017", "--events", "50", "--seed", "1"]
    shifts = ["--shift", "c7=0.0123046875", "--shift", "c9=-1e-05"]
    assert run([*words, *shifts, "--out", str(out)]) == 0
    metadata = read_metadata(out)
    assert metadata.point == "sobol_0017"
    assert metadata.shifts == {"c7": 0.0123046875, "c9": -1e-05}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--point", "sobol_0017"], "give each of them with --shift"),
        (["--point", "c9_-0.90", "--shift", "c9=-0.9"], "defines the shifts; omit the option"),
        (["--point", "sobol_0017", "--shift", "c8=1"], "write coefficient=value"),
        (["--point", "sobol_0017", "--shift", "c9"], "write coefficient=value"),
        (["--point", "sobol_0017", "--shift", "c9=a"], "not a number"),
        (["--point", "sobol_0017", "--shift", "c9=1", "--shift", "c9=2"], "c9 is given twice"),
    ],
)
def test_shifts_that_do_not_fit_the_point_are_refused(tmp_path, words, message, capsys):
    given = ["generate", *words, "--events", "50", "--seed", "1", "--out", str(tmp_path / "a.root")]
    assert run(given) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_events_of_both_flavours(coefficients, tmp_path, capsys):
    out = tmp_path / "both.root"
    assert generate(out, coefficients, "--flavour", "both", "--four-momenta") == 0
    events = read_events(out)
    assert set(np.unique(events.flavour)) == {-1, 1}
    # the four-momenta are those of each event's own flavour
    again = tmp_path / "again.root"
    assert run(["ingest", "--events", str(out), "--layout", "variables", "--out", str(again)]) == 0
    np.testing.assert_array_equal(read_events(again).flavour, events.flavour)
    conjugate = tmp_path / "conjugate.npz"
    words = ["coefficients", "--antiparticle-shifts", "conjugate", "--out", str(conjugate)]
    assert run(words) == 0
    capsys.readouterr()
    assert generate(tmp_path / "none.root", conjugate, "--flavour", "both") == 1
    assert "--flavour both: needs --antiparticle-shifts equal" in capsys.readouterr().err
    assert not (tmp_path / "none.root").exists()
