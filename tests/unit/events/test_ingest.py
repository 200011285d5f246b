import os
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from tests.helpers.decay_builder import (
    build_b0,
    cp_conjugate,
    flat_columns,
    random_frame,
    random_variables,
)
from tests.helpers.ingesting import ingest_files

from wilsonvox.cli import run
from wilsonvox.core.errors import UserError
from wilsonvox.events.event_file import (
    EventMetadata,
    Events,
    read_events,
    read_metadata,
    write_events,
)
from wilsonvox.events.ingest import sources
from wilsonvox.events.ingest.reader import read_external
from wilsonvox.provenance.recording import make_record
from wilsonvox.records.embedded import read_record

N = 60
BELLE2 = {"B0": "B0", "K": "K_p", "pi": "pi_m", "mup": "mu_p", "mum": "mu_m"}
LIST_ORDER = {"B0": 0, "K": 2, "pi": 3, "mup": 4, "mum": 5}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def expected():
    return random_variables(N)


@pytest.fixture
def momenta(expected):
    return random_frame(build_b0(**expected))


def write_tree(path, columns, tree="events"):
    types = {
        name: c.type.content if isinstance(c, ak.Array) else np.asarray(c).dtype
        for name, c in columns.items()
    }
    with uproot.recreate(path) as file:
        file.mktree(tree, types).extend(columns)


def write_rntuple(path, columns, tree="events"):
    with uproot.recreate(path) as file:
        file.mkrntuple(tree, columns)


def belle2_columns(momenta, component="mc_{}", **more):
    names = [component.format(c) for c in ("E", "px", "py", "pz")]
    return flat_columns(momenta, list(BELLE2.values()), names) | more


def bookkeeping(event, candidate):
    ones = np.ones(len(event), dtype=np.int32)
    return {
        "__experiment__": 1003 * ones,
        "__run__": ones,
        "__event__": np.asarray(event, dtype=np.uint32),
        "__candidate__": np.asarray(candidate, dtype=np.int32),
        "__ncandidates__": ones,
    }


def particle_events(momenta, flavour=1, kstar=True, photon=False):
    """One list of (pdg, mother, e, px, py, pz) rows an event; a B with or without a K*."""
    events = []
    for i in range(momenta.shape[2]):
        b, k, pi, mup, mum = momenta[:, :, i]
        rows = [(511 * flavour, -1, *b)]
        if kstar:
            rows += [(313 * flavour, 0, *(k + pi))]
        parent = 1 if kstar else 0
        rows += [
            (321 * flavour, parent, *k),
            (-211 * flavour, parent, *pi),
            (-13, 0, *mup),
            (13, 0, *mum),
        ]
        if photon:
            rows += [(22, 0, 1e-3, 0.0, 0.0, 1e-3)]
        events.append(rows)
    return events


def permuted(events, seed=3):
    rng = np.random.default_rng(seed)
    result = []
    for rows in events:
        order = rng.permutation(len(rows))
        place = {int(old): new for new, old in enumerate(order)}
        result.append(
            [(rows[old][0], place.get(rows[old][1], -1), *rows[old][2:]) for old in order]
        )
    return result


def list_columns(events):
    names = ("pdg_id", "mother", "e", "px", "py", "pz")
    types = (np.int32, np.int32, *4 * (np.float64,))
    return {
        name: ak.values_astype(ak.Array([[row[i] for row in rows] for rows in events]), dtype)
        for i, (name, dtype) in enumerate(zip(names, types, strict=True))
    }


def ingest(path="in.root", out="out.root", **options):
    metadata = ingest_files([path] if isinstance(path, str) else path, out, **options)
    events = read_events(out)
    assert read_metadata(out) == metadata
    assert metadata.n_read == len(events) + sum(metadata.n_dropped.values())
    return events, metadata


def assert_events(events, expected, flavour=1, tolerance=2e-6):
    assert len(events) == len(expected["q2"])
    for name, value in expected.items():
        np.testing.assert_allclose(
            getattr(events, name), value, rtol=1e-6, atol=tolerance, err_msg=name
        )
    np.testing.assert_array_equal(events.flavour, flavour)


# --- the layouts -----------------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_tree, write_rntuple])
@pytest.mark.parametrize("unit", ["GeV", "MeV"])
def test_four_momenta(write, unit, expected, momenta, caplog):
    caplog.set_level("INFO")
    write("in.root", flat_columns(momenta * {"GeV": 1, "MeV": 1000}[unit]))
    events, metadata = ingest()
    assert_events(events, expected)
    assert (metadata.layout, metadata.energy_unit, metadata.n_read) == ("four-momenta", unit, N)
    assert metadata.n_dropped == {}
    assert f"energies in {unit}" in caplog.text
    assert "detector effects" in caplog.text
    assert "generator level" in caplog.text
    assert "all events are taken as B0" in caplog.text


def test_float32_momenta(expected, momenta):
    columns = {name: c.astype(np.float32) for name, c in flat_columns(momenta).items()}
    write_tree("in.root", columns)
    events, metadata = ingest()
    assert metadata.n_dropped == {}
    assert np.median(np.abs(events.chi - expected["chi"])) < 1e-5


def test_flavour_given_by_the_user(expected, momenta):
    write_tree("in.root", flat_columns(cp_conjugate(momenta)))
    events, _ = ingest(flavour="B0bar")
    assert_events(events, expected, flavour=-1)


@pytest.mark.parametrize(
    ("name", "code"),
    [("B0_pdg", 511), ("B0_mcPDG", 511), ("K_pdg", 321), ("K_charge", 1), ("flavour", 1)],
)
def test_flavour_told_by_a_branch(name, code, expected, momenta):
    signs = np.where(np.arange(N) % 2 == 0, 1, -1)
    mixed = np.where(signs > 0, momenta, cp_conjugate(momenta))
    write_tree("in.root", flat_columns(mixed) | {name: (signs * code).astype(np.int32)})
    events, metadata = ingest()
    assert_events(events, expected, flavour=signs)
    assert metadata.n_dropped == {}


def test_entries_without_a_known_flavour_are_dropped(momenta):
    codes = np.where(np.arange(N) < 5, 521, 511)
    write_tree("in.root", flat_columns(momenta) | {"B0_pdg": codes})
    _, metadata = ingest(flavour="B0")
    assert metadata.n_dropped == {"unknown_flavour": 5}


def test_flavour_that_contradicts_the_file(momenta):
    write_tree("in.root", flat_columns(momenta) | {"B0_pdg": np.full(N, -511)})
    with pytest.raises(UserError, match=r"in\.root: 60 of the first 60 events are not B0"):
        ingest(flavour="B0")
    assert not Path("out.root").exists()


@pytest.mark.parametrize("name", ["antib0.root", "sample_B0bar.root", "anti-B0_1.root"])
def test_a_name_that_speaks_of_anti_b0_is_not_taken_as_b0(name, momenta):
    write_tree(name, flat_columns(momenta))
    with pytest.raises(UserError, match="--flavour B0bar"):
        ingest(name)
    ingest(name, flavour="B0")


@pytest.mark.parametrize("component", ["mc_{}", "mc{}", "{}"])
@pytest.mark.parametrize("write", [write_tree, write_rntuple])
def test_belle2(component, write, expected, momenta, caplog):
    codes = {"B0_mcPDG": np.full(N, 511)}
    write("in.root", belle2_columns(momenta, component, **codes, **bookkeeping(range(N), [0] * N)))
    events, metadata = ingest()
    assert_events(events, expected)
    assert (metadata.layout, metadata.n_dropped) == ("belle2", {})
    assert ("reconstructed ones are read" in caplog.text) == (component == "{}")


def test_belle2_prefers_generated_momenta(expected, momenta):
    columns = belle2_columns(momenta) | belle2_columns(1.01 * momenta, "{}")
    write_tree("in.root", columns | {"B0_mcPDG": np.full(N, 511)})
    assert_events(ingest()[0], expected)


def test_belle2_columns_of_the_b_without_a_prefix(expected, momenta):
    columns = {n.removeprefix("B0_"): c for n, c in belle2_columns(momenta, "{}").items()}
    write_tree("in.root", columns | {"mcPDG": np.full(N, 511.0)})
    assert_events(ingest()[0], expected)


def test_belle2_muons_of_anti_b0_candidates_are_ordered_by_their_codes(expected, momenta):
    """The ntuple of a charge-conjugate candidate has the μ− in the columns called mu_p."""
    written = cp_conjugate(momenta)[[0, 1, 2, 4, 3]]
    codes = {"B0_mcPDG": np.full(N, -511), "mu_p_mcPDG": np.full(N, 13)}
    write_tree("in.root", belle2_columns(written, **codes))
    assert_events(ingest()[0], expected, flavour=-1)
    write_tree("in.root", belle2_columns(written, "{}", mu_p_charge=-np.ones(N), **codes))
    assert_events(ingest()[0], expected, flavour=-1)


def test_belle2_anti_b0_without_muon_codes_is_said(expected, momenta, caplog):
    codes = {"B0_mcPDG": np.full(N, -511)}
    write_tree("in.root", belle2_columns(cp_conjugate(momenta), **codes))
    assert_events(ingest()[0], expected, flavour=-1)
    assert "mu_p columns are taken as the positive muon's" in caplog.text


def test_belle2_kaons_of_two_prefixes_are_refused(momenta):
    columns = belle2_columns(momenta)
    again = {n.replace("K_p", "Kst_K_p"): c for n, c in columns.items() if n.startswith("K_p")}
    write_tree("in.root", columns | again)
    with pytest.raises(UserError, match=r"in\.root: .*'K_p', 'Kst_K_p'"):
        ingest(layout="belle2")


@pytest.mark.parametrize("seed", [None, 5])
def test_first_candidate_of_each_event_is_kept(seed, expected, momenta, monkeypatch, caplog):
    """Kept is the lowest __candidate__, wherever it stands, also over the borders of chunks."""
    caplog.set_level("INFO")
    monkeypatch.setattr(sources, "CHUNK", 7)
    event = np.repeat(np.arange(N // 3), 3)
    candidate = np.tile([2, 1, 3], N // 3)
    candidate[-3:] = [1, 0, 2]
    order = np.arange(N) if seed is None else np.random.default_rng(seed).permutation(N)
    columns = belle2_columns(momenta, B0_mcPDG=np.full(N, 511)) | bookkeeping(event, candidate)
    write_tree("in.root", {name: np.asarray(c)[order] for name, c in columns.items()})
    events, metadata = ingest()
    kept = [i for i in order if i % 3 == 1]
    assert_events(events, {name: value[kept] for name, value in expected.items()})
    assert metadata.n_dropped == {"other_candidate": 2 * N // 3}
    assert "lowest __candidate__" in caplog.text


def test_same_event_number_in_two_jobs_are_two_events(momenta):
    event = np.tile(np.arange(N // 2), 2)
    candidate = np.zeros(N)
    candidate[:2], event[:2] = [0, 1], 0
    columns = belle2_columns(momenta, B0_mcPDG=np.full(N, 511)) | bookkeeping(event, candidate)
    write_tree("in.root", columns)
    assert ingest()[1].n_dropped == {"other_candidate": 1}


def test_candidates_without_event_numbers(momenta):
    columns = belle2_columns(momenta) | bookkeeping(range(N), np.arange(N) % 2)
    del columns["__event__"]
    write_tree("in.root", columns)
    with pytest.raises(UserError, match="__event__"):
        ingest()


@pytest.mark.parametrize("kstar", [True, False])
@pytest.mark.parametrize("flavour", [1, -1])
@pytest.mark.parametrize("write", [write_tree, write_rntuple])
def test_particle_list_in_any_order(kstar, flavour, write, expected, momenta):
    decays = momenta if flavour > 0 else cp_conjugate(momenta)
    events = permuted(particle_events(decays, flavour, kstar, photon=True))
    write("in.root", list_columns(events), "particles")
    found, metadata = ingest()
    assert_events(found, expected, flavour)
    assert (metadata.layout, metadata.n_dropped) == ("particle-list", {})


@pytest.mark.parametrize("layout", ["four-momenta", "particle-list"])
def test_float32_in_the_laboratory_frame_is_not_taken_as_unphysical(layout, expected):
    """At hundreds of GeV, float32 rounds squared masses by more than they are."""
    momenta = random_frame(build_b0(**expected), largest=0.99999, smallest=0.9999)
    assert momenta[0, 0].min() > 300
    columns = (
        flat_columns(momenta)
        if layout == "four-momenta"
        else list_columns(permuted(particle_events(momenta)))
    )
    narrow = {
        name: ak.values_astype(ak.Array(column), np.float32)
        if name not in {"pdg_id", "mother"}
        else column
        for name, column in columns.items()
    }
    write_rntuple("in.root", narrow)
    assert ingest()[1].n_dropped == {}


def test_particle_list_drops_other_decays(expected, momenta):
    events = particle_events(momenta)
    other = {
        "no particle at all": [],
        "a kaon of the wrong charge": [(-321, *r[1:]) if r[0] == 321 else r for r in events[0]],
        "no pion": [row for row in events[1] if row[0] != -211],
        "two muons of one charge": [(13, *r[1:]) if r[0] == -13 else r for r in events[2]],
        "an electron": [(11, *r[1:]) if r[0] == 13 else r for r in events[3]],
        "one pion more": [*events[4], (111, 0, 0.2, 0, 0, 0.1)],
        "muons of a J/psi": [
            *[(r[0], 6, *r[2:]) if abs(r[0]) == 13 else r for r in events[5]],
            (443, 0, 3.1, 0, 0, 0),
        ],
        "a B of other charge": [(521, *r[1:]) if r[0] == 511 else r for r in events[6]],
        "mothers out of range": [(r[0], 99, *r[2:]) for r in events[7]],
    }
    shifted = [(r[0], r[1] + 6 if r[1] >= 0 else -1, *r[2:]) for r in events[9]]
    with_other_b = [
        *events[10],
        *[(r[0], -1 if r[1] < 0 else 6, *r[2:]) for r in events[11][:1] + events[11][3:4]],
    ]
    good = events[20:]
    write_rntuple(
        "in.root",
        list_columns(permuted([*other.values(), events[8] + shifted, with_other_b, *good])),
    )
    found, metadata = ingest()
    assert metadata.n_dropped == {"other_decay": len(other), "several_signal_decays": 1}
    kept = [10, *range(20, N)]
    assert_events(found, {name: value[kept] for name, value in expected.items()})


def test_particle_list_of_unequal_lengths(momenta):
    columns = list_columns(particle_events(momenta))
    columns["px"] = columns["px"][:, 1:]
    write_rntuple("in.root", columns)
    with pytest.raises(UserError, match=r"in\.root: branches 'pdg_id' and 'px'"):
        ingest()


def test_own_variables(expected):
    columns = expected | {"flavour": np.where(np.arange(N) < 9, -1, 1).astype(np.int8)}
    columns["chi"] = np.where(np.arange(N) < 20, columns["chi"] - 2 * np.pi, columns["chi"])
    write_rntuple("in.root", columns)
    events, metadata = ingest()
    assert_events(events, expected, columns["flavour"])
    assert metadata.layout == "variables"
    write_tree("mev.root", columns | {"q2": columns["q2"] * 1e6, "m_kpi": columns["m_kpi"] * 1e3})
    assert_events(ingest("mev.root")[0], expected, columns["flavour"])


def test_own_event_file_comes_back_as_it_was(expected):
    columns = expected | {"flavour": np.ones(N)}
    columns["chi"][0], columns["cos_theta_k"][0] = 0.0, 1.0
    events = Events.from_columns(columns)
    record = make_record("generate_events", "out.file", {})
    write_events("own.root", [events], EventMetadata(origin="generated"), record)
    found, _ = ingest("own.root")
    for name, column in events.columns().items():
        np.testing.assert_array_equal(getattr(found, name), column)
    assert read_record("out.root").inputs[0].record_digest == read_record("own.root").digest()


def write_own(path, expected, **about):
    events = Events.from_columns(expected | {"flavour": np.ones(N)})
    record = make_record("generate_events", "out.file", {})
    write_events(path, [events], EventMetadata(origin="generated", **about), record)


def test_what_own_event_files_tell_of_their_decay_is_kept_where_they_agree(expected):
    decay = {"physics_inputs": "flavio", "lepton": "electron", "antiparticle_shifts": "equal"}
    write_own("a.root", expected, **decay)
    write_own("b.root", expected, **decay | {"physics_inputs": "evtgen-btosllnpr"})
    write_tree("c.root", expected | {"flavour": np.ones(N)})

    def kept(*files):
        metadata = ingest_files(files, "out.root")
        assert read_metadata("out.root") == metadata
        return {name: getattr(metadata, name) for name in decay}

    assert kept("a.root") == decay
    assert kept("a.root", "b.root") == decay | {"physics_inputs": None}
    assert kept("a.root", "c.root") == dict.fromkeys(decay)


@pytest.mark.parametrize(
    ("mass", "dtype", "lepton"),
    [(None, "f8", "muon"), (None, "f4", "muon"), (0.000511, "f8", "electron"),
     (0.0, "f4", "electron")],
)  # fmt: skip
def test_the_lepton_is_told_by_the_masses(mass, dtype, lepton, momenta):
    if mass is not None:
        momenta[3:, 0] = np.sqrt((momenta[3:, 1:] ** 2).sum(axis=1) + mass**2)
        momenta[0] = momenta[1:].sum(axis=0)
    columns = flat_columns(momenta.astype(dtype)) | {"flavour": np.ones(N)}
    write_tree("in.root", columns)
    assert ingest()[1].lepton == lepton


def test_decays_to_both_leptons_are_told(momenta, caplog):
    half = momenta[:, :, : N // 2]
    half[3:, 0] = np.sqrt((half[3:, 1:] ** 2).sum(axis=1))
    half[0] = half[1:].sum(axis=0)
    write_tree("in.root", flat_columns(momenta) | {"flavour": np.ones(N)})
    assert ingest()[1].lepton is None
    assert "decays to electrons (30) and to muons (30) together" in caplog.text


def test_variables_out_of_range_are_dropped(expected):
    expected["q2"][0] = 25.0
    expected["q2"][1] = -0.5
    expected["cos_theta_mu"][2] = 1.2
    expected["chi"][3] = 100.0
    expected["m_kpi"][4] = np.nan
    expected["q2"][5] = np.inf
    write_tree("in.root", expected)
    _, metadata = ingest()
    assert metadata.n_dropped == {
        "not_finite": 2,
        "q2_out_of_range": 2,
        "angle_out_of_range": 2,
    }


def test_chi_stays_below_two_pi_after_rounding(expected):
    expected["chi"][:] = np.nextafter(2 * np.pi, 0)
    write_tree("in.root", expected)
    events, _ = ingest()
    assert events.chi.astype(np.float64).max() < 2 * np.pi
    assert events.chi.min() > 6.28


# --- many files, bad events, what is said ----------------------------------------------------


def test_several_files_and_globs_in_order_and_once(expected, momenta, monkeypatch):
    monkeypatch.setattr(sources, "CHUNK", 13)
    for i, part in enumerate(np.split(np.arange(N), 3)):
        scale = 1000 if i == 1 else 1
        write_tree(f"part{i}.root", flat_columns(scale * momenta[:, :, part]))
    for given in (["part*.root"], ["part0.root,part1.root", "part?.root"]):
        events, metadata = ingest(given)
        assert_events(events, expected)
        assert metadata.energy_unit == "GeV and MeV"
        assert metadata.n_read == N
    assert [each.path for each in read_record("out.root").inputs] == [
        f"part{i}.root" for i in range(3)
    ]


def test_files_of_different_layouts_are_refused(expected, momenta):
    write_tree("a.root", flat_columns(momenta))
    write_tree("b.root", expected)
    with pytest.raises(UserError, match=r"b\.root: has layout variables"):
        ingest(["a.root", "b.root"])


def test_bad_events_are_dropped_and_counted(expected, momenta, caplog):
    caplog.set_level("INFO")
    momenta = build_b0(**expected)
    momenta[1, 2, 0] = np.nan
    momenta[3, 0, 1] = np.inf
    momenta[2, 0, 2] = -0.2
    momenta[4, 0, 3] = 0.0
    momenta[1, 1, 4] = 9.0
    momenta[:, :, 5] *= 2
    momenta[1, :, 6] = momenta[1, :, 7]
    momenta[0, :, 8] = [5.3, 0, 0, 1.0]
    write_tree("in.root", flat_columns(momenta))
    events, metadata = ingest()
    assert metadata.n_dropped == {
        "not_finite": 2,
        "energy_not_positive": 2,
        "negative_mass": 1,
        "b_mass": 1,
        "daughters_do_not_sum_to_b": 2,
    }
    kept = [7, *range(9, N)]
    assert_events(events, {name: value[kept] for name, value in expected.items()})
    assert "dropped 2: not_finite" in caplog.text
    assert f"read {N} events, kept {N - 8}, dropped 8" in caplog.text


def test_soft_radiation_does_not_drop_an_event(momenta):
    momenta = build_b0(**random_variables(N))
    momenta[3, 0] -= 0.01
    write_tree("in.root", flat_columns(momenta))
    assert ingest()[1].n_dropped.get("daughters_do_not_sum_to_b", 0) == 0


def test_muon_pair_below_threshold_is_out_of_range(expected):
    momenta = build_b0(**expected)
    momenta[3, 1:, 0] = momenta[4, 1:, 0] = momenta[3:, 1:, 0].mean(axis=0)
    energy = np.sqrt((momenta[3, 1:, 0] ** 2).sum() + 1e-4)
    momenta[3:, 0, 0] = energy
    momenta[0, :, 0] = momenta[1:, :, 0].sum(axis=0)
    momenta[0, 0, 0] = np.sqrt(5.28**2 + (momenta[0, 1:, 0] ** 2).sum())
    write_tree("in.root", flat_columns(momenta))
    dropped = ingest()[1].n_dropped
    assert set(dropped) <= {"q2_out_of_range", "daughters_do_not_sum_to_b"}
    assert sum(dropped.values()) == 1


def test_charmonium_is_said(expected, caplog):
    expected["q2"][: N // 2] = 9.59
    expected["m_kpi"][:] = 0.9
    write_tree("in.root", expected)
    ingest()
    assert "charmonium resonances are in the file" in caplog.text


def test_read_external_gives_chunks_and_counts(momenta, monkeypatch):
    monkeypatch.setattr(sources, "CHUNK", 25)
    momenta[0, 0, 3] = np.nan
    write_tree("in.root", flat_columns(momenta))
    events = read_external(["in.root"], None, "auto", "B0")
    assert (events.layout, events.unit, events.n_read) == ("four-momenta", None, 0)
    assert [len(chunk) for chunk in events] == [24, 25, 10]
    assert (events.unit, events.n_read, events.n_kept) == ("GeV", N, N - 1)
    assert events.counts() == {"not_finite": 1}
    assert events.warnings == []


def test_metadata_and_record(momenta):
    write_tree("in.root", flat_columns(momenta))
    command = ["ingest", "--events", "in.root", "--out", "folder/out.root"]
    command += ["--flavour", "B0", "--sample", "mine", "--true-point", "c9_-0.90"]
    assert run(command) == 0
    metadata = read_metadata("folder/out.root")
    assert (metadata.origin, metadata.sample, metadata.point) == ("ingested", "mine", "c9_-0.90")
    assert metadata.shifts == {"c9": -0.9}
    record = read_record("folder/out.root")
    assert record.rule == "ingest_events"
    assert record.command == ("wilsonvox", *command)
    assert record.settings["flavour"] == "B0"
    assert record.inputs[0].path == "in.root"


def test_tree_is_found_or_chosen(expected, momenta):
    with uproot.recreate("in.root") as file:
        file["title"] = "not a tree"
        columns = flat_columns(momenta)
        file.mktree("folder/decays", {name: c.dtype for name, c in columns.items()}).extend(columns)
    assert_events(ingest()[0], expected)
    assert_events(ingest(tree="folder/decays;1")[0], expected)
    with uproot.update("in.root") as file:
        file.mktree("other", {"x": np.float64}).extend({"x": np.zeros(3)})
    with pytest.raises(UserError, match=r"2 trees \(folder/decays, other\).*--tree"):
        ingest()
    assert_events(ingest(tree="folder/decays")[0], expected)
    with pytest.raises(UserError, match="did you mean 'folder/decays'"):
        ingest(tree="folder/decay")


# --- bad input, as the command line says it --------------------------------------------------


def _good():
    return flat_columns(build_b0(**random_variables(N)))


def _truncated(fraction, write=write_tree):
    def make(path):
        columns = flat_columns(build_b0(**random_variables(4000)))
        write(path, columns)
        content = Path(path).read_bytes()
        Path(path).write_bytes(content[: int(fraction * len(content))])

    return make


def _damaged_within(path):
    """A file whose directory is whole and whose data are not."""
    write_tree(path, flat_columns(build_b0(**random_variables(4000))))
    content = bytearray(Path(path).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    Path(path).write_bytes(bytes(content))


def _without(*names):
    return lambda path: write_tree(path, {n: c for n, c in _good().items() if n not in names})


def _renamed(old, new):
    return lambda path: write_tree(path, {new if n == old else n: c for n, c in _good().items()})


def _jagged_branch(path):
    columns = _good()
    columns["K_px"] = ak.Array([[x, x] for x in columns["K_px"]])
    write_rntuple(path, columns)


def _no_tree(path):
    with uproot.recreate(path) as file:
        file["title"] = "nothing"


def _belle2_without_a_branch(path):
    columns = belle2_columns(build_b0(**random_variables(N)))
    del columns["mu_m_mc_py"]
    write_tree(path, columns)


def _empty(write):
    return lambda path: write(path, {name: c[:0] for name, c in _good().items()})


def _folder(path):
    Path(path).mkdir()


BAD = {
    "truncated at 1 %": (_truncated(0.01), "truncated"),
    "truncated at 50 %": (_truncated(0.5), "truncated"),
    "truncated at 99.5 %": (_truncated(0.995), "truncated"),
    "truncated RNTuple": (_truncated(0.7, write_rntuple), "truncated"),
    "a tail too short": (_truncated(0.9999), "truncated"),
    "an RNTuple's tail too short": (_truncated(0.9999, write_rntuple), "truncated"),
    "damaged within": (_damaged_within, "damaged"),
    "text": (lambda path: Path(path).write_text("HepMC::Version\n"), "not a ROOT file"),
    "no content": (lambda path: Path(path).write_bytes(b""), "empty file"),
    "only the magic": (lambda path: Path(path).write_bytes(b"root"), "truncated"),
    "missing branch": (_without("mup_E"), "'mup_E' of layout four-momenta"),
    "misspelt branch": (_renamed("K_px", "K_Px"), "'K_Px'"),
    "missing particle": (_without("K_E", "K_px", "K_py", "K_pz"), "and 3 more"),
    "missing ntuple branch": (_belle2_without_a_branch, "'mu_m_mc_py' of layout belle2"),
    "jagged branch": (_jagged_branch, "'K_px' holds no single number"),
    "no layout": (lambda path: write_tree(path, {"x": np.zeros(3)}), "none of the layouts"),
    "no tree": (_no_tree, "no TTree"),
    "empty tree": (_empty(write_tree), "'events' is empty"),
    "empty RNTuple": (_empty(write_rntuple), "'events' is empty"),
    "folder": (_folder, "is a folder"),
    "no such file": (lambda path: None, "does not exist"),  # noqa: ARG005
    "wrong unit": (
        lambda path: write_tree(path, {n: 30 * c for n, c in _good().items()}),
        "unit of energy not known",
    ),
    "no usable event": (
        lambda path: write_tree(path, {n: c if n[0] != "K" else 2 * c for n, c in _good().items()}),
        "60 daughters_do_not_sum_to_b",
    ),
    "only NaN": (
        lambda path: write_tree(path, {n: np.nan * c for n, c in _good().items()}),
        "unit of energy not known",
    ),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_is_one_line_and_leaves_nothing(case, capfd, caplog):
    make, words = BAD[case]
    make("bad.root")
    before = sorted(Path().iterdir())
    arguments = ["ingest", "--events", "bad.root", "--flavour", "B0", "--out", "made/out.root"]
    assert run(arguments) == 1
    lines = [line for line in capfd.readouterr().err.splitlines() if "error" in line]
    assert len(lines) == 1
    assert lines[0].startswith("wilsonvox: error: bad.root: ")
    assert words in lines[0]
    assert "Traceback" not in caplog.text
    assert not Path("made").exists() or not list(Path("made").iterdir())
    assert [path for path in sorted(Path().iterdir()) if path.name != "made"] == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--layout", "four-momentum"], "did you mean 'four-momenta'"),
        (["--layout", "belle2"], "of layout belle2 is missing"),
        (["--layout", "particle-list"], "'pdg_id' of layout particle-list"),
        (["--tree", "evnts"], "did you mean 'events'"),
        (["--flavour", "B+"], "--flavour"),
        (["--true-point", "c9=-0.9"], "not a point label"),
        (["--events", "nothing*.root"], "nothing*.root: no file matches"),
        (["--out", "good.root/out.root"], "cannot be written"),
    ],
)
def test_wrong_options(options, words, capfd):
    write_tree("good.root", _good())
    assert run(["ingest", "--events", "good.root", "--out", "out.root", *options]) == 1
    lines = [line for line in capfd.readouterr().err.splitlines() if "error" in line]
    assert len(lines) == 1
    assert words in lines[0]
    assert not Path("out.root").exists()


def test_no_permission(monkeypatch, capfd):
    write_tree("bad.root", _good())
    Path("bad.root").chmod(0)
    if os.access("bad.root", os.R_OK):  # the superuser reads everything

        def refuse(*_arguments, **_options):
            raise PermissionError(13, "Permission denied", "bad.root")

        monkeypatch.setattr(Path, "open", refuse)
    assert run(["ingest", "--events", "bad.root", "--out", "out.root"]) == 1
    assert "bad.root: cannot be read: Permission denied" in capfd.readouterr().err


def test_an_old_output_survives_a_failure(momenta):
    write_tree("in.root", flat_columns(momenta))
    ingest()
    content = Path("out.root").read_bytes()
    Path("in.root").write_bytes(Path("in.root").read_bytes()[:2000])
    assert run(["ingest", "--events", "in.root", "--out", "out.root"]) == 1
    assert Path("out.root").read_bytes() == content


def test_unknown_flavour_in_python():
    with pytest.raises(UserError, match="flavour 'b0' is unknown; did you mean 'B0'"):
        read_external(["in.root"], None, "auto", "b0")


def test_no_files_in_python():
    with pytest.raises(UserError, match="no event file was given"):
        read_external([])


def test_help_names_units_and_layouts(capsys):
    assert run(["ingest", "--help"]) == 0
    text = capsys.readouterr().out
    for word in ("GeV", "MeV", "particle-list", "belle2", "generator level", "--true-point"):
        assert word in text
