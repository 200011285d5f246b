"""Options for shards and functions that open them."""

from collections.abc import Callable

import click

from wilsonvox.cli.options import Function
from wilsonvox.core.errors import UserError
from wilsonvox.voxels.shards import Shard


def training_options(validation: str) -> Callable[[Function], Function]:
    """Return a decorator that adds the options of every training: estimator name and shards.

    Args:
        validation: help text of ``--validation``.
    """

    def decorate(function: Function) -> Function:
        for option in (
            click.option(
                "--estimator", required=True, metavar="NAME", help="Name of the estimator."
            ),
            _shards("--validation", "validation_paths", validation),
            _shards("--train", "train_paths", "Shard of training images; repeatable."),
        ):
            function = option(function)
        return function

    return decorate


def _shards(option: str, name: str, text: str) -> Callable[[Function], Function]:
    return click.option(option, name, multiple=True, required=True, metavar="FILE.npz", help=text)


def check_paths(paths: tuple[str, ...], option: str) -> None:
    """Check that no path is duplicated.

    Raises:
        UserError: a path is given twice.
    """
    for path in paths:
        if paths.count(path) > 1:
            raise UserError(f"{option}: {path} is given twice")


def load_shards(paths: tuple[str, ...], option: str) -> dict[str, Shard]:
    """Load shards into memory and return them by path.

    Raises:
        UserError: a path is given twice, or a file is not a shard.
    """
    check_paths(paths, option)
    return {path: Shard.load(path) for path in paths}


def open_shards(paths: tuple[str, ...], option: str) -> dict[str, Shard]:
    """Open shards, leaving their voxels on disk, and return them by path.

    Raises:
        UserError: a path is given twice, or a file is not a shard.
    """
    from wilsonvox.voxels.lazy_shards import open_shard

    check_paths(paths, option)
    return {path: open_shard(path) for path in paths}
