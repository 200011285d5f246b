"""Shards that are named on the command line."""

from wilsonvox.errors import UserError
from wilsonvox.shards import Shard


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
