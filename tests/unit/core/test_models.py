"""Optional settings at their default do not change serialised files and commands."""

import json

import pytest

from wilsonvox.config.option_words import option_words
from wilsonvox.config.run import ImageSettings
from wilsonvox.estimators.settings import TrainingSettings
from wilsonvox.voxels.specification import ImageSpecification, describe_difference

IMAGE = (
    '{"bins":50,"events_per_image":24000,"q2_min_gev2":0.0,"q2_max_gev2":20.0,"vetoes_gev2":[],'
    '"flavour":"B0"}'
)
"""Image specification as stored in existing shards, whose content digests include it."""

TRAINING = [
    "batch_size", "learning_rate", "momentum", "loss", "max_epochs", "reduce_factor",
    "reduce_patience", "minimum_learning_rate", "early_stopping_patience", "warmup_epochs",
    "clip_norm", "gradient_accumulation_steps", "jit_compile", "mixed_precision",
    "deterministic_on_gpu",
]  # fmt: skip


def test_optional_fields_at_their_default_are_omitted():
    assert ImageSpecification().model_dump_json() == IMAGE
    assert list(TrainingSettings().model_dump()) == TRAINING
    words = [*option_words(ImageSpecification()), *option_words(TrainingSettings())]
    assert not [
        word
        for word in words
        if word.startswith(("--antiparticle", "--multiple", "--learning-rate-"))
    ]
    assert list(ImageSettings().model_dump()) == [*json.loads(IMAGE), "fraction_of_events"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (ImageSpecification(multiple_entries="removed"), ["--multiple-entries", "removed"]),
        (
            ImageSpecification(flavour="both", antiparticle_angles="positive-lepton"),
            ["--flavour", "both", "--antiparticle-angles", "positive-lepton"],
        ),
        (TrainingSettings(learning_rate_schedule="step"), ["--learning-rate-schedule", "step"]),
    ],
)
def test_other_values_are_written_and_read_back(settings, words):
    kind = type(settings)
    assert kind.model_validate_json(settings.model_dump_json()) == settings
    assert settings.model_dump() != kind().model_dump()
    result = option_words(settings)
    assert " ".join(words) in " ".join(result)


def test_missing_optional_fields_are_read_as_defaults():
    assert ImageSpecification.model_validate_json(IMAGE) == ImageSpecification()


def test_optional_fields_distinguish_images():
    other = ImageSpecification(multiple_entries="removed")
    assert describe_difference(ImageSpecification(), other) == (
        "multiple_entries removed instead of averaged"
    )
