"""The command line `wilsonvox`: one subcommand a stage, imported only when it is called."""

import importlib
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import NO_ROOM
from wilsonvox.provenance.recording import current_command

COMMANDS = {
    "coefficients": "tabulate the angular coefficients of the decay",
    "generate": "generate B0 → K*0 μ+ μ− events",
    "ingest": "read external ROOT files into an event file",
    "voxelize": "bin events into voxel images",
    "train": "train an estimator",
    "train-voxel-sum": "make a network that sums over voxels",
    "scan": "scan the settings of a network",
    "prepare": "prepare an estimator that fits events",
    "evaluate": "predict the shifts of images",
    "summarize": "summarize ensembles of predictions",
    "information": "tell what voxel images keep of the events' information",
    "global-fit": "fit δC9 and δC10 to binned observables",
    "measure": "measure δC9 of a ROOT file",
    "export": "copy an estimator out of a run, to measure with it elsewhere",
    "plot": "draw the figures of a run",
    "report": "write the tables of a run's report",
    "show": "print the result table of a run",
    "configuration": "check a configuration and write it as YAML",
    "crate": "pack a finished run into an RO-Crate",
    "plan": "tell what a run would cost before anything runs",
    "status": "tell what a run would do again, and why",
    "audit": "prove where files came from, or say why two differ",
    "schema": "write the JSON schemas of the configuration",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(
            f"wilsonvox.cli.{cmd_name.replace('-', '_')}"
        ).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        import difflib

        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            close = difflib.get_close_matches(args[0], list(COMMANDS), n=1)
            hint = (
                f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(COMMANDS)}"
            )
            raise UserError(f"unknown command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wilsonvox")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
def cli(verbose: bool) -> None:
    """From B0 → K*0 μ+ μ− decays to a measured Wilson-coefficient shift δC9."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(message)s", force=True
    )
    for noisy in ("numba", "matplotlib", "PIL", "h5py", "asyncio", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class _HeldBack(logging.Handler):
    """Keeps what reading a file logs until it has succeeded: an error stands alone on its line."""

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

    A user's mistake, a wrong option as well as bad input, is one line on standard error and 1; so
    is a disk that is full.
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
    # as in a job of Snakemake: with more threads sums have another order, and digests differ
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(run(sys.argv[1:]))
