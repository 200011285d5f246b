"""Rates: what one unit of each rule's work costs, measured once and kept beside this module."""

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from wilsonvox.core.errors import UserError
from wilsonvox.core.models import StrictModel

TYPICAL_FIGURE = "plot_linearity"
"""Rule whose rates stand for those of a figure that was not measured."""

RATES_FILE = Path(__file__).with_name("rates.json")
"""Written by ``tests/bench/bench_rates.py``."""


class Rate(StrictModel):
    """A cost that is linear in amounts of work.

    per: cost of one unit of each amount; ``job`` is the cost of every job
    factor: largest ratio, either way, of what was measured to what `per` gives for it
    """

    per: dict[str, float]
    factor: float = Field(ge=1)

    def of(self, amounts: Mapping[str, float]) -> float:
        """Cost of one job with these amounts."""
        return sum(cost * amounts[name] for name, cost in self.per.items())


class RuleRates(StrictModel):
    """Rates of one rule.

    seconds: processor time, user and system, of all threads [s]
    memory_bytes: largest resident memory [B]
    output_bytes: size of all outputs [B]
    """

    seconds: Rate
    memory_bytes: Rate
    output_bytes: Rate


class SnakemakeRates(StrictModel):
    """Overhead of Snakemake (processor time, memory and files).

    run_seconds: processor time of one run, whatever its number of jobs [s]
    job_seconds: more for each job [s]
    memory_bytes: largest resident memory of the process that plans and starts jobs [B]
    log_bytes, benchmark_bytes: mean size of a job's log and benchmark file [B]
    metadata_bytes: mean size of the notes on one output in .snakemake/metadata [B]
    """

    run_seconds: float
    job_seconds: float
    memory_bytes: float
    log_bytes: float
    benchmark_bytes: float
    metadata_bytes: float


class MeasuredOn(StrictModel):
    """Where and with what the rates were measured."""

    processor: str
    cores: int
    date: str
    packages: dict[str, str]


class Rates(StrictModel):
    """All rates, by rule."""

    measured_on: MeasuredOn
    rules: dict[str, RuleRates]
    snakemake: SnakemakeRates

    def rule(self, name: str) -> RuleRates:
        """Return the rates of a rule; a figure that was not measured has those of `TYPICAL_FIGURE`.

        Raises:
            UserError: they were not measured.
        """
        if name not in self.rules and name.startswith("plot_"):
            name = TYPICAL_FIGURE
        if name not in self.rules:
            raise UserError(
                f"no rates of rule {name} were measured; run tests/bench/bench_rates.py"
            )
        return self.rules[name]


def load_rates(path: Path = RATES_FILE) -> Rates:
    """Read measured rates.

    Raises:
        UserError: no such file, or not one of rates.
    """
    try:
        return Rates.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: {where}: {first['msg']}; measure the rates again") from error
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); measure the rates again") from error
