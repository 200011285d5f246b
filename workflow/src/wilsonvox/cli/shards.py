"""Shards that are named on the command line."""

from collections.abc import Callable

import click

from wilsonvox.cli.options import Function
from wilsonvox.core.errors import UserError
from wilsonvox.voxels.shards import Shard


def training_options(validation: str) -> Callable[[Function], Function]:
    """Decorator that adds what every training names: its shards, and the estimator it makes.

    Args:
        validation: help of ``--validation``.
    """

    def decorate(function: Function) -> Function:
        for option in (
            click.option(
                "--estimator", required=True, metavar="NAME", help="Name of the estimator."
            ),
            _shards("--validation", "validation_paths", validation),
            _shards("--train", "train_paths", "Shard of training images; again for each."),
        ):
            function = option(function)
        return function

    return decorate


def _shards(option: str, name: str, text: str) -> Callable[[Function], Function]:
    return click.option(option, name, multiple=True, required=True, metavar="FILE.npz", help=text)


def check_paths(paths: tuple[str, ...], option: str) -> None:
    """Refuse a path that is given twice.

    Raises:
        UserError: names it.
    """
    for path in paths:
        if paths.count(path) > 1:
            raise UserError(f"{option}: {path} is given twice")


def load_shards(paths: tuple[str, ...], option: str) -> dict[str, Shard]:
    """The shards by their path.

    Raises:
        UserError: a path twice, or a file that is no shard.
    """
    check_paths(paths, option)
    return {path: Shard.load(path) for path in paths}


def open_shards(paths: tuple[str, ...], option: str) -> dict[str, Shard]:
    """The shards by their path, whose voxels stay in their files.

    Raises:
        UserError: a path twice, or a file that is no shard.
    """
    from wilsonvox.voxels.lazy_shards import open_shard

    check_paths(paths, option)
    return {path: open_shard(path) for path in paths}
