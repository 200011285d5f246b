import json

import boost_histogram as bh
import numpy as np
import pytest

from wilsonvox.cli import run
from wilsonvox.core.errors import UserError
from wilsonvox.events.event_file import EventMetadata, Events, write_events
from wilsonvox.provenance.recording import make_record
from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import read_record
from wilsonvox.voxels.binning import fill_histogram, fill_image, selection, voxelize_file
from wilsonvox.voxels.histograms import ANGLES, image_axes, image_from_histogram
from wilsonvox.voxels.lazy_shards import open_shard
from wilsonvox.voxels.shards import Shard
from wilsonvox.voxels.specification import ImageSpecification, VoxelScaling


def make_events(n_events, seed=0, q2_high=19.0):
    rng = np.random.default_rng(seed)
    return Events.from_columns(
        {
            "q2": rng.uniform(0.1, q2_high, n_events),
            "cos_theta_mu": rng.uniform(-1, 1, n_events),
            "cos_theta_k": rng.uniform(-1, 1, n_events),
            "chi": rng.uniform(0, 2 * np.pi, n_events),
            "m_kpi": np.full(n_events, 0.9),
            "flavour": np.ones(n_events),
        }
    )


@pytest.fixture
def event_file(tmp_path):
    def make(events, **metadata):
        path = tmp_path / "events.root"
        given = {"origin": "generated", "point": "c9_-0.90", "shifts": {"c9": -0.9}} | metadata
        write_events(
            path, [events], EventMetadata(**given), make_record("generate_events", "out.file", {})
        )
        return path

    return make


def test_mean_and_count_equal_a_simple_loop():
    events = make_events(3000)
    voxel, mean_q2, count = fill_image(events, 6)
    sums: dict[int, list[float]] = {}
    for mu, k, chi, q2 in zip(
        events.cos_theta_mu, events.cos_theta_k, events.chi, events.q2, strict=True
    ):
        i = int((float(mu) + 1) / 2 * 6)
        j = int((float(k) + 1) / 2 * 6)
        m = int(float(chi) / (2 * np.pi) * 6)
        sums.setdefault((i * 6 + j) * 6 + m, []).append(float(q2))
    assert voxel.tolist() == sorted(sums)
    assert count.tolist() == [len(sums[v]) for v in sorted(sums)]
    np.testing.assert_allclose(mean_q2, [np.mean(sums[v]) for v in sorted(sums)], rtol=1e-6)


def test_upper_edges_belong_to_the_last_bin():
    events = make_events(2)
    edge = Events.from_columns(
        events.columns()
        | {
            "cos_theta_mu": np.array([1.0, -1.0]),
            "cos_theta_k": np.array([1.0, -1.0]),
            "chi": np.array([np.float32(2 * np.pi), 0.0]),
        }
    )
    assert float(np.float32(2 * np.pi)) > 2 * np.pi  # the reason for the clip
    voxel, _, count = fill_image(edge, 10)
    assert voxel.tolist() == [0, 999]
    assert count.tolist() == [1, 1]
    edge.cos_theta_mu[:] = np.nextafter(edge.cos_theta_mu, 2 * edge.cos_theta_mu)
    edge.chi[1] = -1e-6
    assert fill_image(edge, 10)[0].tolist() == [0, 999]


def edge_events(bins):
    """Events on every bin edge of every axis in float32, and one step to either side."""
    columns = {}
    for name, (low, high) in ANGLES.items():
        at = np.linspace(low, high, bins + 1).astype(np.float32)
        beside = [np.nextafter(at, np.float32(way)) for way in (-np.inf, np.inf)]
        values = np.concatenate([at, *beside])
        columns[name] = values[(values >= low) & (values <= at[-1])]
    rng = np.random.default_rng(3)
    n_events = 40_000
    drawn = {name: rng.choice(values, n_events) for name, values in columns.items()}
    return Events.from_columns(make_events(n_events).columns() | drawn)


def repeated_events():
    """A few decays, each many times, in mixed order."""
    rows = np.random.default_rng(4).integers(0, 50, 60_000)
    return make_events(50)[rows]


def events_of_kind(kind, bins):
    if kind == "edges":
        return edge_events(bins)
    if kind == "repeated":
        return repeated_events()
    return make_events({"random": 24_000, "one": 1, "none": 0}[kind], seed=bins)


EVENT_KINDS = ("random", "edges", "repeated", "one", "none")


def numpy_image(events, bins):
    """The image in plain NumPy: voxels by arithmetic in double precision, sums by bincount."""
    voxel = np.zeros(len(events), np.int64)
    for name, (low, high) in ANGLES.items():
        position = (getattr(events, name).astype(np.float64) - low) / (high - low) * bins
        voxel = voxel * bins + np.clip(position.astype(np.int64), 0, bins - 1)
    count = np.bincount(voxel, minlength=bins**3)
    total = np.bincount(voxel, weights=events.q2, minlength=bins**3)
    occupied = np.flatnonzero(count)
    return occupied, (total[occupied] / count[occupied]).astype(np.float32), count[occupied]


def assert_same_image(image, expected):
    for own, other in zip(image, expected, strict=True):
        assert own.shape == other.shape
    voxel, mean_q2, count = image
    assert (voxel.dtype, mean_q2.dtype, count.dtype) == (np.int32, np.float32, np.uint16)
    np.testing.assert_array_equal(voxel, expected[0])
    np.testing.assert_array_max_ulp(mean_q2, expected[1], maxulp=1)
    np.testing.assert_array_equal(count, expected[2])


@pytest.mark.parametrize("bins", [7, 25, 50, 100])
@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_images_are_those_of_plain_numpy(kind, bins):
    events = events_of_kind(kind, bins)
    assert_same_image(fill_image(events, bins), numpy_image(events, bins))


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_images_are_those_of_a_dense_histogram(kind, flow):
    bins = 25
    events = events_of_kind(kind, bins)
    axes = [
        bh.axis.Regular(bins, low, high, underflow=flow, overflow=flow)
        for low, high in ANGLES.values()
    ]
    histogram = bh.Histogram(*axes, storage=bh.storage.Mean())
    # with flow bins an axis ends before its upper edge; the step of float32 there is 6e-8
    columns = [
        np.minimum(getattr(events, name), high - 1e-12, dtype=np.float64)
        for name, (_, high) in ANGLES.items()
    ]
    histogram.fill(*columns, sample=events.q2)
    assert_same_image(fill_image(events, bins), image_from_histogram(histogram))


def test_weights_weight_the_means():
    events = make_events(5000)
    bins = 6
    weights = np.random.default_rng(2).uniform(0.5, 2, len(events))
    occupied, histogram = fill_histogram(events, bins, weights)
    voxel, mean_q2, _ = fill_image(events, bins)
    np.testing.assert_array_equal(occupied, voxel)
    place = [
        (getattr(events, name).astype(np.float64) - low) / (high - low) * bins
        for name, (low, high) in ANGLES.items()
    ]
    of_event = np.ravel_multi_index(np.array(place, int), (bins,) * 3)
    for row in range(0, len(voxel), 20):
        own = of_event == voxel[row]
        assert histogram.values()[row] == pytest.approx(
            np.average(events.q2[own], None, weights[own])
        )
        assert histogram.view().sum_of_weights[row] == pytest.approx(weights[own].sum())
    assert not np.allclose(histogram.values(), mean_q2)
    _, equal = fill_histogram(events, bins, np.ones(len(events)))
    np.testing.assert_allclose(equal.values(), mean_q2, rtol=1e-6)


def test_images_do_not_depend_on_the_order_of_the_events():
    events = make_events(24_000)
    order = np.random.default_rng(1).permutation(len(events))
    assert_same_image(fill_image(events, 12), fill_image(events[order], 12))


def test_axes_cover_the_angles():
    axes = image_axes(50)
    assert [axis.name for axis in axes] == ["cos_theta_mu", "cos_theta_k", "chi"]
    for axis in axes:
        assert (axis.size, axis.extent) == (50, 50)
        assert (axis.edges[0], axis.edges[-1]) == ANGLES[axis.name]
        np.testing.assert_allclose(np.diff(axis.edges), np.ptp(axis.edges) / 50)


def test_selection_names_one_reason_each():
    events = make_events(4000, q2_high=25.0)
    events.flavour[:1000] = -1
    image = ImageSpecification(q2_max_gev2=20, vetoes_gev2=((8, 11), (12.7, 14)))
    masks = selection(events, image)
    assert np.array_equal(sum(mask.astype(int) for mask in masks.values()), np.ones(4000))
    kept = events[masks["selected"]]
    assert set(kept.flavour) == {1}
    assert kept.q2.max() <= 20
    assert not np.any((kept.q2 >= 8) & (kept.q2 < 11))
    assert masks["other flavour"].sum() == 1000


def test_antiparticles_never_enter_a_particle_image(event_file):
    events = make_events(3000)
    events.flavour[::3] = -1
    path = event_file(events)
    shard = voxelize_file(path, ImageSpecification(bins=4, events_per_image=2000))
    assert shard.metadata.n_events_cut == {"other flavour": 1000}
    voxel, mean_q2, _ = fill_image(events[events.flavour == 1], 4)
    assert shard.voxel.tolist() == voxel.tolist()
    np.testing.assert_array_equal(shard.mean_q2, mean_q2)
    bar = ImageSpecification(bins=4, events_per_image=1000, flavour="B0bar")
    assert voxelize_file(path, bar).metadata.n_events_cut == {"other flavour": 2000}


@pytest.mark.parametrize("size", [1, 850, 1234, 4000])
@pytest.mark.parametrize("q2_high", [19.0, 22.0])
def test_images_are_consecutive_selected_events(event_file, monkeypatch, size, q2_high):
    import wilsonvox.events.event_file as events_module

    chunk = 1700  # less than an image of 4000, twice one of 850
    monkeypatch.setattr(events_module.iterate_events, "__defaults__", (chunk,))
    events = make_events(10_000 if size > 1 else 100, q2_high=q2_high)
    path = event_file(events)
    image = ImageSpecification(bins=5, events_per_image=size)
    shard = voxelize_file(path, image)
    kept = np.flatnonzero(events.q2 <= 20)
    assert (len(kept) < len(events)) == (q2_high > 20)
    assert len(shard) == len(kept) // size
    assert shard.metadata.n_events_left_over == len(kept) % size
    assert shard.metadata.n_events_in_file == len(events)
    for index in range(len(shard)):
        entries = kept[index * size : (index + 1) * size]
        assert shard.source_range[index].tolist() == [entries[0], entries[-1] + 1]
        voxel, mean_q2, count = fill_image(events[entries], 5)
        own = slice(shard.offsets[index], shard.offsets[index + 1])
        np.testing.assert_array_equal(shard.voxel[own], voxel)
        np.testing.assert_array_equal(shard.mean_q2[own], mean_q2)
        np.testing.assert_array_equal(shard.count[own], count)
    assert np.all(shard.shifts[:, 1] == -0.9)
    assert np.all(shard.shifts[:, [0, 2, 3, 4, 5]] == 0)


def test_requested_number_of_images(event_file):
    path = event_file(make_events(5000))
    image = ImageSpecification(bins=5, events_per_image=1000)
    three = voxelize_file(path, image, 3)
    assert len(three) == 3
    # the events after the last image are read and counted, too
    assert three.metadata.n_events_left_over == 2000
    assert three.metadata.events_digest == voxelize_file(path, image).metadata.events_digest
    with pytest.raises(UserError, match=r"5000 events pass .* 6 image\(s\) of 1000 need 6000"):
        voxelize_file(path, image, 6)
    with pytest.raises(UserError, match="need 6000"):
        voxelize_file(path, ImageSpecification(bins=5, events_per_image=6000))


def test_too_many_events_in_a_voxel():
    events = make_events(1)
    many = Events.from_columns({k: np.repeat(v, 70_000) for k, v in events.columns().items()})
    with pytest.raises(UserError, match="65535"):
        fill_image(many, 3)


def test_command_writes_a_shard_that_reads_back(event_file, tmp_path):
    path = event_file(make_events(3000))
    out = tmp_path / "shard.npz"
    words = ["--bins", "5", "--events-per-image", "1000", "--vetoes-gev2", "8:11,12.7:14"]
    assert run(["voxelize", "--events", str(path), *words, "--out", str(out)]) == 0
    shard = Shard.load(out)
    assert shard.metadata.image.vetoes_gev2 == ((8, 11), (12.7, 14))
    assert shard.metadata.image.bins == 5
    record = read_record(out)
    assert record is not None
    assert record.rule == "voxelize"
    assert record.content_digest == content_digest(out)
    assert record.inputs[0].path == "events.root"
    assert record.inputs[0].content_digest == content_digest(path)
    assert str(tmp_path) not in record.to_json()


def test_dense_images(event_file):
    path = event_file(make_events(4000))
    shard = voxelize_file(path, ImageSpecification(bins=5, events_per_image=1000))
    images = shard.dense(np.array([2, 0]), VoxelScaling())
    assert images.shape == (2, 5, 5, 5, 1)
    assert images.dtype == np.float32
    for row, index in ((0, 2), (1, 0)):
        own = slice(shard.offsets[index], shard.offsets[index + 1])
        flat = images[row].reshape(-1)
        np.testing.assert_array_equal(flat[shard.voxel[own]], shard.mean_q2[own] / np.float32(20))
        assert np.count_nonzero(flat) == len(shard.voxel[own])
    raw = shard.dense(np.array([0]), VoxelScaling(method="none"))
    np.testing.assert_allclose(raw[0], images[1] * 20, rtol=1e-6)
    scaled = shard.normalised(VoxelScaling(method="min-max"))
    assert (scaled.min(), scaled.max()) == (0, 1)
    wide = shard.normalised(VoxelScaling(scale_gev2=10))
    np.testing.assert_allclose(wide, shard.mean_q2 / 10)


@pytest.mark.parametrize("multiple_entries", ["averaged", "removed"])
def test_images_as_histograms_and_back(event_file, tmp_path, multiple_entries):
    events = make_events(3500)
    image = ImageSpecification(bins=7, events_per_image=1000, multiple_entries=multiple_entries)
    shard = voxelize_file(event_file(events), image)
    out = tmp_path / "shard.npz"
    shard.save(out, make_record("voxelize", "out.file", {}))
    for source in (shard, open_shard(out)):
        histograms = [source.histogram(index) for index in range(len(source))]
        again = Shard.from_images(
            [image_from_histogram(histogram) for histogram in histograms],
            metadata=source.metadata,
            shifts=source.shifts,
            n_events=source.n_events,
            source_range=source.source_range,
        )
        assert again.metadata == shard.metadata
        for name, array in again.arrays().items():
            assert array.dtype == shard.arrays()[name].dtype
            np.testing.assert_array_equal(array, shard.arrays()[name])


def test_a_histogram_has_counts_and_means_in_their_places(event_file):
    events = make_events(2000)
    shard = voxelize_file(event_file(events), ImageSpecification(bins=7, events_per_image=1000))
    histogram = shard.histogram(1)
    assert histogram.kind == bh.Kind.MEAN
    assert histogram.axes.name == ("cos_theta_mu", "cos_theta_k", "chi")
    expected = bh.Histogram(*image_axes(7), storage=bh.storage.Mean())
    own = events[1000:]
    expected.fill(*(getattr(own, name) for name in ANGLES), sample=own.q2)
    np.testing.assert_array_equal(histogram.counts(), expected.counts())
    np.testing.assert_allclose(histogram.values(), expected.values(), rtol=1e-6)
    # neither empty voxels nor such with one event have a variance; of several it is not stored
    assert np.isnan(histogram.variances()).all()
    for axis in range(3):
        projection, full = histogram.project(axis), expected.project(axis)
        np.testing.assert_array_equal(projection.counts(), full.counts())
        np.testing.assert_allclose(projection.values(), full.values(), rtol=1e-6)


def regular(bins=4, low=-1.0, high=1.0):
    return bh.axis.Regular(bins, low, high)


@pytest.mark.parametrize(
    ("axes", "storage", "message"),
    [
        (image_axes(4), bh.storage.Double(), "storage of the histogram is Double; .* needs Mean"),
        (image_axes(4)[:2], bh.storage.Mean(), "cos_theta_mu from -1 to 1, .* chi from 0 to 6"),
        (image_axes(4)[::-1], bh.storage.Mean(), "not those of an image"),
        ((*image_axes(4)[:2], image_axes(5)[2]), bh.storage.Mean(), "equal numbers of bins"),
        ((*image_axes(4)[:2], regular(low=-np.pi, high=np.pi)), bh.storage.Mean(), "not those"),
    ],
)
def test_histograms_that_are_no_images_are_refused(axes, storage, message):
    with pytest.raises(UserError, match=message):
        image_from_histogram(bh.Histogram(*axes, storage=storage))


def test_flow_bins_are_left_out_and_counts_have_16_bits():
    axes = (regular(), regular(), regular(high=2 * np.pi, low=0.0))
    histogram = bh.Histogram(*axes, storage=bh.storage.Mean())
    histogram.fill([0.0, 5.0], [0.9, 0.9], [0.1, 0.1], sample=[3.0, 4.0])
    voxel, mean_q2, count = image_from_histogram(histogram)
    assert (voxel.tolist(), mean_q2.tolist(), count.tolist()) == ([(2 * 4 + 3) * 4], [3.0], [1])
    histogram.view().count[2, 3, 0] = 65_536
    with pytest.raises(UserError, match="a voxel holds 65536 events, at most 65535"):
        image_from_histogram(histogram)


@pytest.mark.parametrize("damage", ["truncate", "flip", "text", "foreign"])
def test_damaged_shards_are_refused_by_name(event_file, tmp_path, damage):
    out = tmp_path / "shard.npz"
    shard = voxelize_file(
        event_file(make_events(3000)), ImageSpecification(bins=5, events_per_image=1000)
    )
    shard.save(out, make_record("voxelize", "out.file", {}))
    content = bytearray(out.read_bytes())
    if damage == "truncate":
        out.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[len(content) // 2] ^= 0xFF
        out.write_bytes(content)
    elif damage == "text":
        out.write_text(json.dumps({"not": "a shard"}))
    else:
        np.savez(out, voxel=np.arange(3))
    with pytest.raises(UserError, match=r"shard\.npz: not a readable shard"):
        Shard.load(out)


def test_missing_shard():
    with pytest.raises(UserError, match="does not exist"):
        Shard.load("nowhere.npz")


def test_values_that_are_not_finite_are_left_out_and_counted(event_file):
    events = make_events(3000)
    events.q2[:10] = np.nan
    events.cos_theta_k[20:27] = np.inf
    shard = voxelize_file(event_file(events), ImageSpecification(bins=5, events_per_image=2900))
    assert shard.metadata.n_events_cut == {"not finite": 17}
    assert shard.count.sum() == 2900
    assert np.isfinite(shard.mean_q2).all()


def test_any_file_with_the_tree_is_accepted(tmp_path):
    import uproot

    from wilsonvox.events.event_file import BRANCHES

    path = tmp_path / "contract.root"
    with uproot.recreate(path) as file:
        file.mktree("events", dict(BRANCHES)).extend(make_events(2000).columns())
    shard = voxelize_file(path, ImageSpecification(bins=5, events_per_image=1000))
    assert len(shard) == 2
    assert np.isnan(shard.shifts).all()  # the truth is unknown


@pytest.mark.parametrize(
    "vetoes", ["8:11,12.7:14", "[[8, 11], [12.7, 14]]", "[[8.0,11.0],[12.7,14.0]]"]
)
def test_vetoes_as_on_the_command_line_and_as_in_yaml(event_file, tmp_path, vetoes):
    out = tmp_path / "s.npz"
    words = ["--events", str(event_file(make_events(3000))), "--events-per-image", "1000"]
    assert run(["voxelize", *words, "--bins", "4", "--vetoes-gev2", vetoes, "--out", str(out)]) == 0
    assert Shard.load(out).metadata.image.vetoes_gev2 == ((8, 11), (12.7, 14))


@pytest.mark.parametrize("options", [["--vetoes-gev2", "11:8"], ["--q2-min-gev2", "20"]])
def test_empty_ranges_are_refused(event_file, tmp_path, capsys, options):
    path = event_file(make_events(10))
    assert run(["voxelize", "--events", str(path), *options, "--out", str(tmp_path / "s.npz")]) == 1
    assert "is empty" in capsys.readouterr().err


# ---------------------------------------------------------------- both flavours, single entries
def of_both(n_events, n_anti, seed=5):
    flavour = np.ones(n_events, np.int8)
    flavour[:n_anti] = -1
    flavour = np.random.default_rng(seed).permutation(flavour)
    return Events.from_columns(make_events(n_events, seed).columns() | {"flavour": flavour})


def test_voxels_with_several_events_can_be_left_empty(event_file):
    path = event_file(make_events(3000))
    kept, removed = (
        voxelize_file(path, ImageSpecification(bins=8, events_per_image=1000, multiple_entries=how))
        for how in ("averaged", "removed")
    )
    assert len(kept) == len(removed) == 3
    single = kept.count == 1
    assert 0 < single.sum() < len(single)
    np.testing.assert_array_equal(removed.voxel, kept.voxel[single])
    np.testing.assert_array_equal(removed.mean_q2, kept.mean_q2[single])
    assert set(removed.count) == {1}
    lengths = [single[kept.offsets[i] : kept.offsets[i + 1]].sum() for i in range(3)]
    assert np.diff(removed.offsets).tolist() == lengths
    # the number of events behind the image is kept
    np.testing.assert_array_equal(removed.n_events, kept.n_events)
    np.testing.assert_array_equal(removed.source_range, kept.source_range)
    assert removed.metadata.n_events_used == kept.metadata.n_events_used


def test_an_image_of_both_flavours_has_all_events_and_its_own_angles(event_file):
    events = of_both(2000, 1000)
    path = event_file(events)
    given = {"bins": 8, "events_per_image": 2000, "flavour": "both"}
    conjugate = voxelize_file(path, ImageSpecification(**given))
    assert conjugate.metadata.n_events_used == 2000
    voxel, mean_q2, count = fill_image(events, 8)
    np.testing.assert_array_equal(conjugate.voxel, voxel)
    np.testing.assert_array_equal(conjugate.count, count)
    image = ImageSpecification(**given, antiparticle_angles="positive-lepton")
    turned = voxelize_file(path, image)
    anti = events.flavour < 0
    columns = events.columns() | {
        "cos_theta_mu": np.where(anti, -events.cos_theta_mu, events.cos_theta_mu),
        "chi": np.where(anti, np.mod(np.pi - events.chi, 2 * np.pi), events.chi),
    }
    voxel, mean_q2, count = fill_image(Events.from_columns(columns), 8)
    np.testing.assert_array_equal(turned.voxel, voxel)
    np.testing.assert_array_equal(turned.count, count)
    np.testing.assert_array_equal(turned.mean_q2, mean_q2)


def test_one_flavour_of_two_is_selected(event_file):
    path = event_file(of_both(2000, 800))
    shard = voxelize_file(path, ImageSpecification(bins=8, events_per_image=800, flavour="B0bar"))
    assert len(shard) == 1
    assert shard.metadata.n_events_cut == {"other flavour": 1200}


def test_unequal_mixture_of_flavours_is_refused_when_it_matters(event_file):
    path = event_file(of_both(4000, 1500))
    given = {"bins": 8, "events_per_image": 1000, "flavour": "both"}
    voxelize_file(path, ImageSpecification(**given))
    image = ImageSpecification(**given, antiparticle_angles="positive-lepton")
    with pytest.raises(UserError, match=r"2500 of the images' 4000 events are B0, but .* half B0"):
        voxelize_file(path, image)
