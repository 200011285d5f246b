"""The configuration of a run and the table of samples; the source of `workflow/schemas/`."""

from wilsonvox.config.base import did_you_mean
from wilsonvox.config.global_fit import GlobalFitSettings, check_global_fit
from wilsonvox.config.points import PointGroup
from wilsonvox.config.reading import load_configuration, parse_configuration
from wilsonvox.config.run import FigureSettings, GenerationSettings, ImageSettings, RunConfiguration
from wilsonvox.config.samples import SampleRow, load_samples, measured_samples

__all__ = [
    "FigureSettings",
    "GenerationSettings",
    "GlobalFitSettings",
    "ImageSettings",
    "PointGroup",
    "RunConfiguration",
    "SampleRow",
    "check_global_fit",
    "did_you_mean",
    "load_configuration",
    "load_samples",
    "measured_samples",
    "parse_configuration",
]
