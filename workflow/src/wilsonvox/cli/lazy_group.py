"""Groups of commands that import a command only when it is called."""

import importlib
from collections.abc import Mapping
from typing import Any

import click

from wilsonvox.core.errors import UserError
from wilsonvox.core.suggestions import did_you_mean


class LazyGroup(click.Group):
    """A group whose commands are imported from modules when they are called.

    Args:
        modules: module of each command by its name; the command is the module's ``command``.
        descriptions: one line on each command, for the list of commands.
    """

    def __init__(
        self, modules: Mapping[str, str], descriptions: Mapping[str, str], **attributes: Any
    ) -> None:
        super().__init__(**attributes)
        self._modules = modules
        self._descriptions = descriptions

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Return the names of all commands."""
        return list(self._modules)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 (click's signature)
        cmd_name: str,
    ) -> click.Command | None:
        """Import a command; None for an unknown name."""
        if cmd_name not in self._modules:
            return None
        command: click.Command = importlib.import_module(self._modules[cmd_name]).command
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 (click's signature)
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._descriptions[name]) for name in self._modules])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a command line; an unknown name is an error with a suggestion."""
        if args and not args[0].startswith("-") and args[0] not in self._modules:
            hint = did_you_mean(args[0], self._modules)
            raise UserError(f"unknown command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)
