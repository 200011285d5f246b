"""Shards that share events or are damaged are refused by name."""

from pathlib import Path

import numpy as np
import pytest
from tests.helpers.toy_shards import IMAGE, save, toy_shard

from wilsonvox.cli import run
from wilsonvox.config.option_words import option_words
from wilsonvox.core.errors import UserError
from wilsonvox.estimators.model_file import read_estimator_metadata
from wilsonvox.estimators.networks.backend import prepare_backend
from wilsonvox.estimators.settings import NetworkSettings, TrainingSettings
from wilsonvox.events.event_file import EventMetadata, Events, write_events
from wilsonvox.provenance.recording import make_record
from wilsonvox.theory.points import point_label
from wilsonvox.training.loop import check_shards
from wilsonvox.voxels.binning import voxelize_file
from wilsonvox.voxels.event_overlap import EventRanges, EventRegistry, check_no_shared_events
from wilsonvox.voxels.shards import Shard

DIGEST = "0123456789abcdef" * 4
OTHER = "f" * 64


def _part(shard, images):
    """Return some images of a shard as a shard."""
    kept = [np.arange(shard.offsets[i], shard.offsets[i + 1]) for i in images]
    entries = np.concatenate(kept)
    return Shard(
        metadata=shard.metadata,
        voxel=shard.voxel[entries],
        mean_q2=shard.mean_q2[entries],
        count=shard.count[entries],
        offsets=np.cumsum([0, *map(len, kept)]).astype(np.int64),
        shifts=shard.shifts[images],
        n_events=shard.n_events[images],
        source_range=shard.source_range[images],
    )


# ---------------------------------------------------------------- which events
def test_event_ranges_identify_stream_file_and_entries():
    shard = toy_shard(0.5, 6, campaign="002", seed=7, events_digest=DIGEST)
    result = EventRanges.of(shard)
    assert result.stream == "7/c9_+0.50/train/002"
    assert result.file_digest == DIGEST
    assert result.entries == ((0, 600),)
    assert EventRanges.of(_part(shard, [4, 0, 1])).entries == ((0, 200), (400, 500))
    assert EventRanges.of(toy_shard(0.5, 0)).entries == ()
    assert EventRanges.of(toy_shard(0.5, point=None, sample="data")).stream is None


def test_cut_events_between_images_leave_no_gap():
    shard = toy_shard(0.0, 4)
    # q2 cuts: images span more entries than they have events, with cut ones between them
    shard.source_range[:] = [[3, 130], [131, 240], [339, 450], [550, 700]]
    # 99 entries contain no image of 100 events, 100 may
    assert EventRanges.of(shard).entries == ((3, 450), (550, 700))


@pytest.mark.parametrize(
    ("mine", "theirs", "meet"),
    [
        (((0, 100),), ((100, 200),), False),
        (((0, 101),), ((100, 200),), True),
        (((100, 200),), ((0, 100),), False),
        (((0, 100), (200, 300)), ((100, 200), (300, 400)), False),
        (((0, 100), (200, 300)), ((100, 200), (299, 400)), True),
        (((0, 1000),), ((400, 500),), True),
        (((400, 500),), ((0, 1000),), True),
        ((), ((0, 1000),), False),
    ],
)
def test_overlap_of_entries_equals_a_simple_loop(mine, theirs, meet):
    one, two = (EventRanges(file_digest=DIGEST, entries=value) for value in (mine, theirs))
    entries = [{i for low, high in ranges for i in range(low, high)} for ranges in (mine, theirs)]
    assert bool(entries[0] & entries[1]) == meet
    assert bool(one.describe_overlap(two)) == bool(two.describe_overlap(one)) == meet


def test_file_content_takes_precedence_over_labels():
    one = EventRanges(stream="1/a/train/000", file_digest=DIGEST, entries=((0, 9),))
    renamed = one.model_copy(update={"stream": "1/a/test/000"})
    longer = one.model_copy(update={"file_digest": OTHER})
    unrelated = renamed.model_copy(update={"file_digest": "e" * 64})
    assert one.describe_overlap(renamed) == "the same event file (content 0123456789ab…)"
    assert one.describe_overlap(longer) == "random stream 1/a/train/000"
    assert one.describe_overlap(unrelated) == ""
    unknown = EventRanges(entries=((0, 9),))
    assert unknown.describe_overlap(unknown) == ""
    used = EventRegistry([("one", one), ("unrelated", unrelated)])
    assert used.find(renamed) == ("one", one.describe_overlap(renamed))
    assert used.find(longer) == ("one", one.describe_overlap(longer))
    assert used.find(unknown) is None


# ---------------------------------------------------------------- training
def _shards(**others):
    train = {f"train{c9}.npz": toy_shard(c9, seed=7) for c9 in (-1.0, 0.0)}
    return train, {"val.npz": toy_shard(0.0, 3, "validation", seed=7)} | others


@pytest.mark.parametrize(
    ("option", "labels", "message"),
    [
        # a copy under another name; relabelled; of a longer file with the same stream
        ("train", {"seed": 7}, r"bad\.npz: .* events of train0\.0\.npz, .*stream 7/c9_\+0"),
        (
            "validation",
            {"events_digest": DIGEST, "split": "validation", "campaign": "009"},
            r"bad\.npz: its images contain events of known\.npz, both are of the same event f",
        ),
        (
            "validation",
            {"split": "validation", "seed": 7, "events_digest": OTHER},
            r"bad\.npz: its images contain events of val\.npz, both are of random stream 7/",
        ),
        (
            "train",
            {"events_digest": DIGEST, "point": None, "sample": "data"},
            r"bad\.npz: .* known\.npz",
        ),
    ],
)
def test_shards_with_the_same_events_are_refused_by_name(option, labels, message):
    train, validation = _shards()
    train["known.npz"] = toy_shard(0.5, seed=7, events_digest=DIGEST)
    check_shards(train, validation)
    bad = {"bad.npz": toy_shard(0.0, **labels)}
    with pytest.raises(UserError, match=message) as raised:
        check_shards(
            train | (bad if option == "train" else {}),
            validation | (bad if option == "validation" else {}),
        )
    assert "\n" not in str(raised.value)


def test_disjoint_parts_of_one_file_may_be_used_together():
    whole = toy_shard(0.0, 6, seed=7, events_digest=DIGEST)
    parts = {name: _part(whole, images) for name, images in (("a", [0, 2, 4]), ("b", [1, 3, 5]))}
    check_no_shared_events(parts.items())
    with pytest.raises(UserError, match=r"^c: .* events of b, both"):
        check_no_shared_events((parts | {"c": _part(whole, [5])}).items())


def test_another_seed_is_another_stream():
    check_no_shared_events({"a": toy_shard(0.0, seed=7), "b": toy_shard(0.0, seed=8)}.items())


# ---------------------------------------------------------------- from events to evaluation
SETTINGS = (
    NetworkSettings(stem_filters=2, stem_kernel=3, filters=(2,), blocks=(1,), dense_units=3),
    TrainingSettings(batch_size=4, max_epochs=1),
)


def _event_file(path, number, n_events=400, campaign="000", split="train", c9=0.0, seed=7):
    """Write events of random values, which depend on `number` alone, under any labels."""
    rng = np.random.default_rng(number)
    columns = {name: rng.uniform(-1, 1, n_events) for name in ("cos_theta_mu", "cos_theta_k")}
    columns |= {"q2": rng.uniform(0.1, 19, n_events), "chi": rng.uniform(0, 6.28, n_events)}
    columns |= {"m_kpi": np.full(n_events, 0.9), "flavour": np.ones(n_events)}
    metadata = EventMetadata(
        origin="generated",
        point=point_label({"c9": c9}),
        shifts={"c9": c9},
        split=split,
        campaign=campaign,
        physics_inputs="toy",
    )
    record = make_record("generate_events", path, {}, seed=seed)
    write_events(path, [Events.from_columns(columns)], metadata, record)
    return path


def _voxelized(path, number, **labels):
    shard = voxelize_file(_event_file(path.with_suffix(".root"), number, **labels), IMAGE)
    save(shard, path)
    return shard


def test_shards_know_the_seed_and_the_values_of_their_events(tmp_path):
    first = _voxelized(tmp_path / "a.npz", 1)
    again = _voxelized(tmp_path / "b.npz", 1, split="test", campaign="004", c9=0.5, seed=9)
    other = _voxelized(tmp_path / "c.npz", 2)
    assert (first.metadata.seed, again.metadata.seed) == (7, 9)
    assert first.metadata.events_digest == again.metadata.events_digest
    assert first.metadata.events_digest != other.metadata.events_digest
    assert Shard.load(tmp_path / "a.npz").metadata == first.metadata


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Shards of training and validation, and a network trained with them in `model.keras`."""
    prepare_backend()
    path = tmp_path_factory.mktemp("seen")
    _voxelized(path / "train0.npz", 1)
    _voxelized(path / "train1.npz", 2, c9=1.0)
    _voxelized(path / "val.npz", 3, split="validation")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        assert run([*_train_words(), "--out", "model.keras"]) == 0
    return path


def _train_words(validation="val.npz"):
    words = ["train", "--train", "train0.npz", "--train", "train1.npz", "--validation", validation]
    words += [word for settings in SETTINGS for word in option_words(settings)]
    return [*words, "--estimator", "toy", "--seed", "7", "--history", "history.csv"]


@pytest.fixture
def evaluate(folder, monkeypatch, capsys):
    """Evaluate shards and return the error, one line, or nothing."""
    monkeypatch.chdir(folder)

    def command(*names):
        words = [word for name in names for word in ("--shard", name)]
        code = run(["evaluate", "--model", "model.keras", *words, "--out", "p.parquet"])
        lines = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
        assert len(lines) == code == (not Path("p.parquet").exists())
        Path("p.parquet").unlink(missing_ok=True)
        return lines[0] if lines else ""

    return command


def test_model_stores_the_events_of_its_training(folder):
    metadata = read_estimator_metadata(folder / "model.keras")
    shards = {name: Shard.load(folder / f"{name}.npz") for name in ("train0", "train1", "val")}
    expected = {name: EventRanges.of(shard) for name, shard in shards.items()}
    assert metadata.training_events == (expected["train0"], expected["train1"])
    assert metadata.validation_events == (expected["val"],)
    assert expected["val"].stream == "7/c9_+0.00/validation/000"


@pytest.mark.parametrize("split", ["test", "interpolation"])
@pytest.mark.parametrize(("number", "role"), [(1, "trained"), (3, "validated")])
def test_training_events_are_refused_as_test_images(folder, evaluate, split, number, role):
    _voxelized(folder / "bad.npz", number, split=split, c9=0.5, campaign="003")
    error = evaluate("bad.npz")
    assert f"bad.npz: its {split} images contain events that model.keras was {role}" in error
    assert "the same event file" in error


def test_unseen_events_and_admitted_training_images_are_evaluated(folder, evaluate):
    _voxelized(folder / "good.npz", 11, split="test")
    assert evaluate("good.npz") == ""
    assert evaluate("train0.npz") == ""


def test_two_test_shards_of_the_same_events_are_refused(folder, evaluate):
    _voxelized(folder / "a.npz", 12, split="test", campaign="001")
    _voxelized(folder / "b.npz", 12, split="test", campaign="002")
    assert "b.npz: its images contain events of a.npz, both" in evaluate("a.npz", "b.npz")


# ---------------------------------------------------------------- damaged files, other images
def _truncated(path):
    path.write_bytes(path.read_bytes()[:-1000])


def _flipped(path):
    content = bytearray(path.read_bytes())
    content[content.index(Shard.load(path).mean_q2.tobytes())] ^= 1
    path.write_bytes(content)


def _altered(path):
    # the checksums of the archive are correct
    with np.load(path, allow_pickle=False) as content:
        arrays = {name: content[name] for name in content.files}
    arrays["mean_q2"][7] += 1
    np.savez(path, **arrays)


def _other_bins(path):
    save(toy_shard(0.0, 3, path.stem, image=IMAGE.model_copy(update={"bins": 9})), path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncated, "not a readable shard"),
        (_flipped, "not a readable shard"),
        (_altered, "not a readable shard (content differs from its recorded digest)"),
        (_other_bins, "bins 9 instead of 8"),
    ],
)
def test_train_and_evaluate_name_the_shard_that_they_refuse(
    folder, evaluate, capsys, damage, message
):
    for split in ("validation", "test"):
        _voxelized(folder / f"{split}.npz", 14, split=split)
        damage(folder / f"{split}.npz")
    error = evaluate("test.npz")
    assert error.startswith("wilsonvox: error: test.npz: ")
    assert message in error
    assert run([*_train_words("validation.npz"), "--out", "new.keras"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("wilsonvox: error: validation.npz: ")
    assert message in error
    assert not Path("new.keras").exists()
