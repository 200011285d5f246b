"""The command line `wilsonvox`: one subcommand per stage, imported only when it is called."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from wilsonvox.cli.lazy_group import LazyGroup
from wilsonvox.core.errors import UserError
from wilsonvox.core.files import NO_ROOM
from wilsonvox.provenance.recording import current_command

COMMANDS = {
    "coefficients": "tabulate the angular coefficients of the decay",
    "generate": "generate B0 → K*0 μ+ μ− events",
    "ingest": "read external ROOT files into an event file",
    "voxelize": "bin events into voxel images",
    "train": "train an estimator",
    "train-voxel-sum": "fit a network that sums over voxels",
    "scan": "scan the hyperparameters of an estimator",
    "prepare": "prepare an estimator that fits events",
    "evaluate": "predict the shifts of images",
    "summarize": "summarize ensembles of predictions",
    "information": "compare the Fisher information of voxel images and events",
    "global-fit": "fit δC9 and δC10 to binned observables",
    "measure": "measure δC9 from a ROOT file",
    "export": "copy an estimator out of a run, for measurements elsewhere",
    "plot": "draw the figures of a run",
    "report": "write the tables of a run's report",
    "show": "print the result table of a run",
    "configuration": "validate a configuration and write it as YAML",
    "crate": "pack a finished run into an RO-Crate",
    "plan": "estimate the cost of a run before it starts",
    "status": "show which jobs of a run would run again, and why",
    "audit": "verify the origin of files, or explain why two differ",
    "schema": "write the JSON schemas of the configuration",
}


@click.group(
    cls=LazyGroup,
    modules={name: f"wilsonvox.cli.{name.replace('-', '_')}" for name in COMMANDS},
    descriptions=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="wilsonvox")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
def cli(verbose: bool) -> None:
    """Measure the Wilson-coefficient shift δC9 in B0 → K*0 μ+ μ− decays."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(message)s", force=True
    )
    for noisy in ("numba", "matplotlib", "PIL", "h5py", "asyncio", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class _HeldBack(logging.Handler):
    """Hold back log records of reading a file, so that an error is the only line printed."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def _held_back(name: str) -> Iterator[None]:
    logger, handler = logging.getLogger(name), _HeldBack()
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    except UserError:
        handler.records.clear()
        raise
    finally:
        logger.propagate = True
        logger.removeHandler(handler)
        for record in handler.records:
            logging.getLogger().handle(record)


def run(arguments: list[str]) -> int:
    """Run one command line (without the program's name) and return its exit code.

    Wrong options, bad input and a full disk print one line on standard error and return 1.
    """
    token = current_command.set(("wilsonvox", *arguments))
    try:
        with _held_back("wilsonvox.events.ingest"):
            result: Any = cli.main(args=arguments, prog_name="wilsonvox", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except UserError as error:
        click.echo(f"wilsonvox: error: {' '.join(str(error).split())}", err=True)
    except click.ClickException as error:
        click.echo(f"wilsonvox: error: {' '.join(error.format_message().split())}", err=True)
    except OSError as error:
        if error.errno not in NO_ROOM or error.filename is None:
            raise
        reason = os.strerror(error.errno or 0)
        click.echo(f"wilsonvox: error: {error.filename}: cannot be written: {reason}", err=True)
    except (click.Abort, KeyboardInterrupt):
        click.echo("wilsonvox: stopped", err=True)
        return 130
    finally:
        current_command.reset(token)
    return 1


def main() -> None:
    """Entry point of the console script."""
    # as in a Snakemake job: with more threads the order of summation changes, and so do digests
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(run(sys.argv[1:]))
