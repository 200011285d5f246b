import copy
import json
from pathlib import Path

import pytest

from wilsonvox.cli import run
from wilsonvox.cli.schema import schemas
from wilsonvox.config.option_words import option_words
from wilsonvox.config.reading import load_configuration, parse_configuration
from wilsonvox.config.samples import load_samples, measured_samples
from wilsonvox.core.errors import UserError
from wilsonvox.estimators.settings import AngularLikelihoodSettings, LikelihoodSettings
from wilsonvox.theory.points import parse_point

ROOT = Path(__file__).parents[3]
# by name, because users may have their own configurations there
NAMES = (
    "demo", "laptop", "laptop-resnets", "paper", "preprint2023", "proceedings2023", "scan",
    "three-coefficients",
)  # fmt: skip
CONFIGURATIONS = [ROOT / "config" / f"{name}.yaml" for name in NAMES]

MINIMAL = {
    "run": "small",
    "seed": 1,
    "points": [
        {"shifts": {"c9": [-2.0, 0.0]}, "n_images": {"train": 5, "validation": 2, "test": 3}},
        {"shifts": {"c9": -1.0}, "n_images": {"interpolation": 7}},
    ],
    "images_per_campaign": {"train": 2},
    "images": {"b8_n300": {"bins": 8, "events_per_image": 300}},
    "estimators": {"tiny": {"images": ["b8_n300"]}},
}


def changed(*keys_and_value):
    """Return MINIMAL with one value set, or with a key removed if the value is None."""
    values = copy.deepcopy(MINIMAL)
    *keys, last, value = keys_and_value
    place = values
    for key in keys:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return values


def test_points_campaigns_and_events():
    configuration = parse_configuration(MINIMAL)
    assert list(configuration.point_groups()) == ["c9_-2.00", "c9_+0.00", "c9_-1.00"]
    assert configuration.labels("train") == ["c9_-2.00", "c9_+0.00"]
    assert configuration.labels("interpolation") == ["c9_-1.00"]
    assert configuration.campaign_images("c9_-2.00", "train") == [2, 2, 1]
    assert configuration.campaigns("c9_-2.00", "train") == ["000", "001", "002"]
    assert configuration.campaigns("c9_-2.00", "interpolation") == []
    assert configuration.images_in_campaign("b8_n300", "c9_-2.00", "train", "002") == 1
    # 600 events for two images, plus 1 % and five standard deviations of these
    assert configuration.campaign_events("c9_-2.00", "train", "000") == 600 + 18 + 1


def test_one_more_campaign_leaves_the_others_as_they_are():
    before = parse_configuration(changed("points", 0, "n_images", "train", 4))
    after = parse_configuration(changed("points", 0, "n_images", "train", 6))
    assert before.campaign_images("c9_-2.00", "train") == [2, 2]
    assert after.campaign_images("c9_-2.00", "train") == [2, 2, 2]


def test_smaller_images_share_the_events_of_the_largest():
    values = changed("images", "b4_n100", {"bins": 4, "events_per_image": 100})
    configuration = parse_configuration(values)
    assert configuration.images_in_campaign("b4_n100", "c9_-2.00", "train", "000") == 6
    assert configuration.estimators_for("b4_n100") == []
    assert configuration.estimators_for("b8_n300") == ["tiny"]


def test_lists_of_several_coefficients_make_a_grid():
    values = changed("points", 1, "shifts", {"c7": [0.0, 0.1], "c9": [-1.0, 1.0]})
    assert parse_configuration(values).labels("interpolation") == [
        "c7_+0.00__c9_-1.00", "c7_+0.00__c9_+1.00", "c7_+0.10__c9_-1.00", "c7_+0.10__c9_+1.00",
    ]  # fmt: skip


BAD = {
    "typo at the top": (("sede", 1), "sede: .*did you mean 'seed'"),
    "typo below": (("images", "b8_n300", "bin", 8), r"images\.b8_n300\.bin: .*did you mean 'bins'"),
    "typo in a network": (
        ("estimators", "tiny", "network", {"filter": [8]}),
        r"estimators\.tiny\.network\.filter: .*did you mean 'filters'",
    ),
    "missing key": (("seed", None), "seed: "),
    "wrong type": (("seed", "seven"), "seed: .*'seven'"),
    "negative": (("images", "b8_n300", "events_per_image", 0), "events_per_image: .*got 0"),
    "unknown image": (
        ("estimators", "tiny", "images", ["b8_n30"]),
        "'b8_n30' is not under images; did you mean 'b8_n300'",
    ),
    "unknown coefficient": (("points", 0, "shifts", {"c8": 1.0}), "points"),
    "same point twice": (("points", 1, "shifts", {"c9": 0.0}), r"c9_\+0.00 is duplicated"),
    "trained interpolation": (
        ("points", 1, "n_images", {"interpolation": 1, "train": 1}),
        "interpolation points have no images in any other split",
    ),
    "no training": (("points", 0, "n_images", {"test": 1, "validation": 1}), "no .*train images"),
    "no validation": (("points", 0, "n_images", {"test": 1, "train": 1}), "no .*validation images"),
    "shown point": (
        ("figures", {"shown_points": [0.0, -2.1]}),
        r"figures.shown_points: c9_-2.10 is no point with test images; did you mean 'c9_-2.00'",
    ),
    "filters and blocks": (
        ("estimators", "tiny", "network", {"filters": [8], "blocks": [1, 1]}),
        "one number per stage",
    ),
    "path as a name": (("run", "../elsewhere"), "run: "),
}

FIT = {"architecture": "likelihood", "images": ["b8_n300"]}
BAD_FITS = {
    "typo in a fit": (FIT | {"coefficient": ["c9"]}, r"fit\.coefficient: .*mean 'coefficients'"),
    "key of a network": (
        FIT | {"training": {}},
        "training: no key of architecture likelihood, but",
    ),
    "key of the other fit": (
        FIT | {"q2_bins_gev2": [[1, 6]]},
        "q2_bins_gev2: no key of architecture likelihood, but of angular-likelihood; known are",
    ),
    "key of a fit": ({"images": ["b8_n300"], "coefficients": ["c9"]}, "no key of .*resnet, but of"),
    "unknown architecture": (FIT | {"architecture": "likelyhood"}, "did you mean 'likelihood'"),
    "unknown coefficient": (FIT | {"coefficients": ["c8"]}, "'c8' is unknown; known are c7, c9"),
    "coefficient twice": (FIT | {"coefficients": ["c9", "c9"]}, "c9 is duplicated"),
    "no coefficient": (FIT | {"coefficients": []}, r"fit\.coefficients: "),
    "constant coefficient": (FIT | {"coefficients": ["c10"]}, "c10 is the same at all points"),
    "range": (FIT | {"parameter_range": [1, 1]}, r"fit\.parameter_range: range 1 … 1 is empty"),
    "bins": (
        FIT | {"architecture": "angular-likelihood", "q2_bins_gev2": [[1, 3], [2, 4]]},
        "range 1 … 3 must lie below the next one, which begins at 2",
    ),
    "no mapping": (3, r"estimators\.fit: .*got 3"),
}


@pytest.mark.parametrize("case", BAD_FITS)
def test_bad_settings_of_a_fit_are_one_clear_line(case):
    fit, message = BAD_FITS[case]
    with pytest.raises(UserError, match=message) as caught:
        parse_configuration(MINIMAL | {"estimators": {"fit": fit}}, "my.yaml")
    assert str(caught.value).startswith("my.yaml: estimators.fit")
    assert "\n" not in str(caught.value)


def test_kinds_of_estimators_have_their_own_settings():
    estimators = {"net": {"images": ["b8_n300"]}, "fit": FIT, "angles": FIT | {
        "architecture": "angular-likelihood", "coefficients": ["c9"], "q2_bins_gev2": [[1, 6]]}
    }  # fmt: skip
    configuration = parse_configuration(MINIMAL | {"estimators": estimators})
    assert list(configuration.trained_estimators()) == ["net"]
    fits = configuration.event_estimators()
    assert list(fits) == ["fit", "angles"]
    assert fits["fit"].coefficients == ("c9",)
    assert fits["fit"].settings == LikelihoodSettings(parameter_range=(-5, 5))
    assert fits["angles"].settings == AngularLikelihoodSettings(q2_bins_gev2=((1, 6),))
    assert configuration.estimators_for("b8_n300") == ["net", "fit", "angles"]
    written = configuration.model_dump(mode="json", exclude_unset=True)
    assert parse_configuration(written) == configuration
    assert parse_configuration(configuration.model_dump(mode="json")) == configuration


def test_a_run_without_networks_needs_no_training_images():
    values = copy.deepcopy(MINIMAL | {"estimators": {"fit": FIT}})
    values["points"][0]["n_images"] = {"test": 3}
    assert parse_configuration(values).labels("train") == []


def test_shifts_with_an_imaginary_part_are_text():
    points = [
        *MINIMAL["points"],
        {"shifts": {"c9": ["-0.9+0.3i", "0.5"], "c10": -1}, "n_images": {"interpolation": 1}},
    ]
    configuration = parse_configuration(MINIMAL | {"points": points})
    labels = ["c9_-0.90+0.30i__c10_-1.00", "c9_+0.50__c10_-1.00"]
    assert list(configuration.point_groups())[-2:] == labels
    assert configuration.points[-1].points()[0] == {"c9": -0.9 + 0.3j, "c10": -1.0}
    for label, shifts in zip(labels, configuration.points[-1].points(), strict=True):
        assert parse_point(label) == shifts


@pytest.mark.parametrize("shift", ["-0.9+0.3j", "x", "nan", float("inf"), True, None, {"a": 1}])
def test_a_shift_that_is_no_number_is_named(shift):
    values = changed("points", 1, "shifts", {"c9": [-1.0, shift]})
    with pytest.raises(UserError, match=r"points\.1\.shifts\.c9: shift .*: not a number such as"):
        parse_configuration(values)


BAD_GENERATIONS = {
    "typo": ({"leptn": "muon"}, r"generation\.leptn: .*did you mean 'lepton'"),
    "lepton": ({"lepton": "tau"}, r"generation\.lepton: .*'tau'"),
    "flavour": ({"flavour": "B0bar"}, r"images\.b8_n300\.flavour: B0, but .*flavour is B0bar"),
    "frame of nothing": ({"frame": "belle2"}, "also set four_momenta: true"),
}


@pytest.mark.parametrize("case", BAD_GENERATIONS)
def test_a_bad_generation_is_one_clear_line(case):
    generation, message = BAD_GENERATIONS[case]
    with pytest.raises(UserError, match=message) as caught:
        parse_configuration(MINIMAL | {"generation": generation}, "my.yaml")
    assert "\n" not in str(caught.value)


def test_generated_events_are_those_of_the_images():
    values = changed("images", "b8_n300", "flavour", "B0bar") | {"generation": {"flavour": "B0bar"}}
    assert parse_configuration(values).generation.flavour == "B0bar"
    assert not parse_configuration(MINIMAL).generation.four_momenta


@pytest.mark.parametrize("case", BAD)
def test_bad_configuration_is_one_clear_line(case):
    keys_and_value, message = BAD[case]
    with pytest.raises(UserError, match=message) as caught:
        parse_configuration(changed(*keys_and_value), "my.yaml")
    assert str(caught.value).startswith("my.yaml: ")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_configuration(tmp_path):
    with pytest.raises(UserError, match=r"absent.yaml: cannot be read: No such file"):
        load_configuration(tmp_path / "absent.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("run: [")
    with pytest.raises(UserError, match="not valid YAML"):
        load_configuration(broken)
    broken.write_text("just text")
    with pytest.raises(UserError, match="not a configuration"):
        load_configuration(broken)


def test_residual_networks_of_the_laptop_see_the_test_images_of_its_voxel_sum():
    """Events and images depend on seed, points, numbers of images and campaigns."""
    laptop, networks = (
        load_configuration(ROOT / "config" / f"{name}.yaml")
        for name in ("laptop", "laptop-resnets")
    )
    for split in ("test", "interpolation"):
        assert sorted(laptop.labels(split)) == sorted(networks.labels(split))
        for label in laptop.labels(split):
            assert laptop.campaigns(label, split) == networks.campaigns(label, split)
    assert laptop.seed == networks.seed
    assert laptop.images["b50_n24000"] == networks.images["b50_n24000"]
    assert laptop.spare_events_fraction == networks.spare_events_fraction


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_shipped_configurations_are_valid_and_named_after_their_run(path):
    assert load_configuration(path).run == path.stem


def test_paper_has_the_papers_numbers_of_images():
    paper = load_configuration(ROOT / "config/paper.yaml")
    assert len(paper.labels("train")) == 22
    assert len(paper.labels("interpolation")) == 6
    for label in paper.labels("train"):
        expected = (
            (5280, 1440) if label in ("c9_-0.90", "c9_-0.40")
            else (2340, 540) if "+" in label and label != "c9_+0.00"
            else (2640, 720)
        )  # fmt: skip
        assert sum(paper.campaign_images(label, "train")) == expected[0]
        assert sum(paper.campaign_images(label, "validation")) == expected[1]
        assert sum(paper.campaign_images(label, "test")) == 900
    network = paper.estimators["resnet34"].network
    assert network.filters == (64, 128, 256, 512)
    assert network.blocks == (3, 4, 6, 3)


def test_the_proceedings_have_their_numbers_of_images_and_events():
    found = load_configuration(ROOT / "config/proceedings2023.yaml")
    values = [found.point_shifts(label)["c9"] for label in found.labels("train")]
    assert (len(values), min(values), max(values)) == (22, -2.0, 0.0)
    for label in found.labels("train"):
        train, validation, test = (
            sum(found.campaign_images(label, split)) for split in ("train", "validation", "test")
        )
        assert (train + validation, validation / (train + validation), test) == (540, 0.2, 1600)
    between = [found.point_shifts(label)["c9"] for label in found.labels("interpolation")]
    assert all(-2 < value < 0 and value not in values for value in between)
    image = found.images["b100_n24000"]
    assert (image.bins, image.events_per_image) == (100, 24_000)
    assert (image.flavour, image.antiparticle_angles) == ("both", "positive-lepton")
    proposed = found.images["b100_n24000_proposed"]
    assert (proposed.antiparticle_angles, proposed.multiple_entries) == ("conjugate", "removed")
    assert found.estimators_for("b100_n24000_proposed") == []
    settings = found.estimators["resnet34"]
    assert settings.normalisation.method == "none"
    assert settings.network.dense_units == 5000
    assert settings.training.learning_rate_schedule == "plateau"
    assert settings.training.early_stopping_patience == 50


def test_the_preprint_differs_from_the_main_paper_only_where_documented():
    paper, preprint = (
        load_configuration(ROOT / f"config/{run}.yaml") for run in ("paper", "preprint2023")
    )
    assert preprint.points == paper.points
    assert preprint.images == paper.images
    first, second = (each.estimators["resnet34"] for each in (paper, preprint))
    assert first.network == second.network
    assert second.normalisation.method == "none"
    changed_settings = {
        name: value for name, value in second.training if value != getattr(first.training, name)
    }
    assert changed_settings == {"learning_rate_schedule": "step", "minimum_learning_rate": 0.0}


def of_both_flavours(**images):
    values = changed("generation", {"flavour": "both"})
    values["images"] = {
        name: {"bins": 8, "events_per_image": 300, "flavour": flavour}
        for name, flavour in images.items()
    }
    values["estimators"]["tiny"]["images"] = list(images)
    return values


def test_images_of_one_flavour_of_two_need_twice_the_events():
    mixed = parse_configuration(of_both_flavours(mixed="both"))
    assert mixed.campaign_events("c9_-2.00", "train", "000") == 600 + 18 + 1
    apart = parse_configuration(of_both_flavours(b0="B0", anti="B0bar", mixed="both"))
    # additional five standard deviations of the number of one flavour
    needed = 2 * 600
    spare = 12 + 5 * 12**0.5 + 5 * needed**0.5
    assert apart.campaign_events("c9_-2.00", "train", "000") == needed + round(spare) + 1
    images = {
        name: apart.images_in_campaign(name, "c9_-2.00", "train", "000")
        for name in ("b0", "anti", "mixed")
    }
    assert images == {"b0": 2, "anti": 2, "mixed": 4}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda values: values["generation"].update(antiparticle_shifts="conjugate"),
            "generation: flavour: both needs antiparticle_shifts: equal",
        ),
        (
            lambda values: values.update(generation={"flavour": "B0"}),
            r"images.mixed.flavour: both, but generation.flavour is B0",
        ),
        (
            lambda values: values["estimators"].update(
                fit={"architecture": "likelihood", "images": ["mixed"]}
            ),
            "images.mixed: has flavour both .*the likelihood needs events of one flavour",
        ),
    ],
)
def test_flavours_that_do_not_fit_are_refused(change, message):
    values = of_both_flavours(mixed="both")
    change(values)
    with pytest.raises(UserError, match=message):
        parse_configuration(values)


def test_laptop_has_the_papers_values_and_one_more_tested_at_each_end():
    paper, laptop = (load_configuration(ROOT / f"config/{run}.yaml") for run in ("paper", "laptop"))
    assert laptop.labels("interpolation") == paper.labels("interpolation")
    added = set(laptop.labels("test")) - set(paper.labels("train"))
    assert added == {"c9_-2.20", "c9_+1.35"}
    for label in (*laptop.labels("test"), *laptop.labels("interpolation")):
        split = "test" if label in laptop.labels("test") else "interpolation"
        campaigns = laptop.campaigns(label, split)
        for image in ("b50_n24000", "b50_n4800", "b50_n2400"):
            made = [laptop.images_in_campaign(image, label, split, each) for each in campaigns]
            assert sum(made) == 900


def test_a_part_of_the_events_makes_as_many_images_as_fit():
    values = copy.deepcopy(MINIMAL)
    values.pop("images_per_campaign", None)
    values["images"] = {
        "all": {"events_per_image": 1000},
        "tenth": {"events_per_image": 100, "fraction_of_events": 0.1},
        "few": {"events_per_image": 1000, "fraction_of_events": 0.01},
    }
    for estimator in values["estimators"].values():
        estimator["images"] = ["all"]
    configuration = parse_configuration(values)
    made = {
        image: configuration.images_in_campaign(image, "c9_-2.00", "train", "000")
        for image in values["images"]
    }
    assert made == {"all": 5, "tenth": 5, "few": 1}
    # it is not a property of the images
    assert "fraction_of_events" not in option_words(configuration.images["tenth"].specification)
    assert configuration.images["tenth"].specification.events_per_image == 100
    assert configuration.campaign_events("c9_-2.00", "train", "000") > 5000


def test_demo_is_as_large_as_promised():
    demo = load_configuration(ROOT / "config/demo.yaml")
    assert len(demo.labels("train")) >= 9
    assert len(demo.labels("interpolation")) >= 4
    assert {(each.bins, each.events_per_image) for each in demo.images.values()} == {(50, 24000)}
    values = [parse_point(label)["c9"] for label in demo.labels("train")]
    assert min(values) <= -2.0
    assert max(values) >= 0.0


def test_every_setting_of_an_estimator_survives_the_command_line():
    estimator = load_configuration(ROOT / "config/paper.yaml").estimators["resnet34"]
    words = option_words(estimator.network)
    assert words[words.index("--filters") + 1] == "64,128,256,512"
    assert "--learning-rate" in option_words(estimator.training)


HEADER = "sample\tpath\ttree\tlayout\tflavour\ttrue_point\n"


def table(tmp_path, text):
    path = tmp_path / "samples.tsv"
    path.write_text(text)
    return path


def test_samples_are_read_with_their_defaults(tmp_path):
    path = table(
        tmp_path, f"# comment\n{HEADER}\none\tdata/a.root\t\t\tB0\tc9_-0.90\ntwo\tb.root\n"
    )
    samples = load_samples(path)
    assert list(samples) == ["one", "two"]
    assert samples["one"].true_point == "c9_-0.90"
    assert samples["one"].flavour == "B0"
    assert samples["two"].layout == "auto"
    assert samples["one"].files() == ["data/a.root"]


def test_files_of_a_sample_by_commas_and_globs(tmp_path):
    for name in ("b.root", "a.root", "c.root"):
        (tmp_path / name).touch()
    path = table(tmp_path, f"{HEADER}s\t{tmp_path}/[ab].root, {tmp_path}/c.root\n")
    names = [Path(each).name for each in load_samples(path)["s"].files()]
    assert names == ["a.root", "b.root", "c.root"]
    path = table(tmp_path, f"{HEADER}s\t{tmp_path}/*.txt\n")
    with pytest.raises(UserError, match=r"sample 's': no file matches .*\*\.txt"):
        load_samples(path)["s"].files()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sample\tpaht\nx\ty\n", "unknown column 'paht'; did you mean 'path'"),
        (f"{HEADER}x\t\n", "row 1: path"),
        (f"{HEADER}x\ta.root\t\troot\n", "row 1: layout"),
        (f"{HEADER}x\ta.root\nx\tb.root\n", "row 2: sample 'x' is duplicated"),
        (f"{HEADER}x\ta.root\t\t\t\tc9_0.9\n", "not a point label"),
        (f"{HEADER}a/b\ta.root\n", "row 1: sample"),
    ],
)
def test_bad_tables_of_samples_are_one_clear_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        load_samples(table(tmp_path, text))


def test_samples_to_measure(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.root", "b.root"):
        Path(name).touch()
    path = str(table(tmp_path, f"{HEADER}one\ta.root\ntwo\tb.root\n"))

    def configuration(**values):
        return parse_configuration(MINIMAL | values)

    assert list(measured_samples(configuration(samples_table=path))) == ["one", "two"]
    assert list(measured_samples(configuration(samples_table=path, measure=["two"]))) == ["two"]
    assert measured_samples(configuration(samples_table=path, measure=[])) == {}
    assert measured_samples(configuration(samples_table=None)) == {}
    with pytest.raises(UserError, match=r"'tow' is not a sample of .*did you mean 'two'"):
        measured_samples(configuration(samples_table=path, measure=["tow"]))
    with pytest.raises(UserError, match="null"):
        measured_samples(configuration(samples_table=None, measure=["one"]))


def test_schemas_in_the_repository_are_those_of_the_models(tmp_path, capsys):
    assert run(["schema", "--out", str(tmp_path)]) == 0
    assert "config.schema.json" in capsys.readouterr().out
    for name, schema in schemas().items():
        tracked = ROOT / "workflow/schemas" / name
        assert json.loads(tracked.read_text()) == schema, f"run: wilsonvox schema --out {name}"
        assert (tmp_path / name).read_bytes() == tracked.read_bytes()


def test_every_key_is_documented():
    text = (ROOT / "config/README.md").read_text()
    definitions = schemas()["config.schema.json"]
    models = [definitions, *definitions["$defs"].values()]
    keys = {key for model in models for key in model.get("properties", ())}
    keys |= set(schemas()["samples.schema.json"]["properties"])
    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed:", "sede:", r"sede: unknown key; did you mean 'seed'\?"),
        ("estimators:", "estimater:", r"estimater: unknown key; did you mean 'estimators'\?"),
        ("train: 156,", "tran: 156,", r"n_images\.tran: unknown key; did you mean 'train'\?"),
    ],
)
def test_a_misspelt_required_key_is_named(tmp_path, old, new, message):
    text = Path("config/demo.yaml").read_text()
    assert old in text
    path = tmp_path / "x.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        load_configuration(path)


def test_a_sample_whose_file_is_missing_is_named(tmp_path):
    table = tmp_path / "samples.tsv"
    table.write_text("sample\tpath\nmine\tnowhere.root\n")
    configuration = load_configuration("config/demo.yaml").model_copy(
        update={"samples_table": str(table)}
    )
    with pytest.raises(UserError, match=r"samples\.tsv: sample 'mine': path: .* nowhere\.root"):
        measured_samples(configuration)


def test_a_bad_true_point_names_table_and_row(tmp_path):
    table = tmp_path / "samples.tsv"
    table.write_text("sample\tpath\ttrue_point\nmine\tx.root\tc9_-0.9\n")
    with pytest.raises(UserError, match=r"samples\.tsv: row 1: true_point: .*not a point label"):
        load_samples(table)


def configured(**changes):
    return parse_configuration(copy.deepcopy(MINIMAL) | changes)


C10 = [{"shifts": {"c10": [0.0, -0.5, -1.0]}, "n_images": {"train": 4, "validation": 4, "test": 4}}]


def test_a_scan_of_another_coefficient_shows_its_ends_unless_told_otherwise():
    fit = {"architecture": "likelihood", "images": list(MINIMAL["images"]), "coefficients": ["c10"]}
    found = configured(points=C10, estimators={"fit": fit})
    assert found.shown_labels() == ["c10_+0.00", "c10_-1.00"]
    assert found.displayed_coefficient() == "c10"
    assert found.plotted_coefficient(["fit"]) == "c10"
    for given in ["c10_-0.50", {"c10": 0}], [{"c10": -0.5}, "c10_+0.00"]:
        found = configured(points=C10, estimators={"fit": fit}, figures={"shown_points": given})
        assert found.shown_labels() == ["c10_-0.50", "c10_+0.00"]
    with pytest.raises(UserError, match=r"shown_points: c9_\+0.00 is no point with test"):
        configured(
            points=C10, estimators={"fit": fit}, figures={"shown_points": [0.0, "c10_-0.50"]}
        )


def test_an_imaginary_part_is_shown_where_the_points_differ_in_it_alone():
    points = [{"shifts": {"c9": ["0.0+0.5i", "0.0-0.5i"]}, "n_images": {"test": 4}}]
    fit = {"architecture": "likelihood", "images": list(MINIMAL["images"]),
           "coefficients": ["c9_imaginary"]}  # fmt: skip
    found = configured(points=points, estimators={"fit": fit})
    assert found.shown_labels() == ["c9_+0.00+0.50i", "c9_+0.00-0.50i"]
    assert found.displayed_coefficient() == found.plotted_coefficient(["fit"]) == "c9_imaginary"


@pytest.mark.parametrize("given", [["c10_-1", 0.0], [{"c11": 0.0}, 0.0], [True, 0.0], [{}, 0.0]])
def test_an_unknown_shown_point_is_refused(given):
    with pytest.raises(UserError, match=r"figures\.shown_points"):
        configured(figures={"shown_points": given})


SOBOL = {"box": {"c10": [-1, 1], "c9": [-2, 1]}, "number": 4}
SAMPLED = MINIMAL | {
    "points": [
        {"sobol": SOBOL, "n_images": {"train": 5, "validation": 2}},
        {"shifts": {"c9": -0.5}, "n_images": {"test": 3}},
        {"sobol": SOBOL | {"first": 4, "number": 2}, "n_images": {"interpolation": 7}},
    ]
}


def sampled(group, **changes):
    values = copy.deepcopy(SAMPLED)
    values["points"][group]["sobol"] |= changes
    return values


def test_sobol_points_are_rows_of_the_points_table():
    configuration = parse_configuration(SAMPLED)
    assert configuration.labels("train") == [f"sobol_000{n}" for n in range(4)]
    assert configuration.labels("interpolation") == ["sobol_0004", "sobol_0005"]
    assert configuration.point_shifts("sobol_0001") == {"c9": -0.5, "c10": 0.0}
    assert configuration.point_shifts("c9_-0.50") == {"c9": -0.5}
    assert configuration.estimated("tiny") == ("c9", "c10")
    assert configuration.joint_estimators("b8_n300") == ["tiny"]
    assert parse_configuration(MINIMAL).joint_estimators("b8_n300") == []


def test_more_sobol_points_leave_the_others_as_they_are():
    before = parse_configuration(SAMPLED)
    after = parse_configuration(sampled(2, number=9))
    for label in before.point_groups():
        assert after.point_shifts(label) == before.point_shifts(label)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (sampled(2, first=3), r"sobol_0003 is duplicated; start at another number"),
        (sampled(0, number=0), r"sobol.number: Input should be greater than or equal to 1"),
        (sampled(0, box={"c9": [1, -2]}), r"sobol.box.c9: range 1 … -2 is empty"),
        (sampled(0, box={"c9": [0, float("inf")]}), r"c9: range 0 … inf is not finite"),
        (sampled(0, box={"c8": [0, 1]}), r"c8: unknown key; did you mean 'c\d"),
        (sampled(0, box={}), r"sobol.box: .*at least 1"),
        (sampled(0, nummer=3), r"sobol.nummer: unknown key; did you mean 'number'"),
        (
            sampled(0, box={"c9": [-2, 1]}),
            (
                r"vary c10, which estimator tiny does not estimate; train it at points that vary "
                "this shift"
            ),
        ),
    ],
)
def test_a_wrong_sobol_group_is_refused(values, message):
    with pytest.raises(UserError, match=message):
        parse_configuration(values)


def test_points_are_either_given_or_sampled():
    both = {"shifts": {"c9": 0.0}, "sobol": SOBOL, "n_images": {"test": 2}}
    for group in (both, {"n_images": {"test": 2}}):
        with pytest.raises(UserError, match="either shifts or sobol"):
            parse_configuration(MINIMAL | {"points": [*MINIMAL["points"], group]})


def test_a_fit_at_sobol_points_estimates_all_their_shifts():
    fit = {"architecture": "likelihood", "images": ["b8_n300"], "coefficients": ["c9"]}
    with pytest.raises(UserError, match=r"add it to estimators.fit.coefficients"):
        parse_configuration(SAMPLED | {"estimators": {"fit": fit}})
    both = fit | {"coefficients": ["c10", "c9"]}
    configuration = parse_configuration(SAMPLED | {"estimators": {"fit": both}})
    assert configuration.estimated("fit") == ("c10", "c9")
