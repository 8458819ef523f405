"""What errors say on the command line: its own names, and what may have been meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import typer
from typer.core import TyperGroup

from flwr_registry.errors import did_you_mean

__all__ = ["RegistryGroup", "in_flags"]

# Errors say what to do in Python, and in brackets by which flag.
_ARGUMENT = r"\b(?:[a-z_]+=[^ ,;()]+|[a-z]+(?:_[a-z]+)+)"
_WITH_FLAG = re.compile(_ARGUMENT + r" \((--[a-z][^()]*)\)")
_RANGES = re.compile(r"pass metric_ranges=.*?, or (--any-value )")
_UNKNOWN_COMMAND = re.compile(r"No such command ['\"](.*?)['\"]", re.DOTALL)


def in_flags(message: str) -> str:
    """Name the flag alone where a message names the Python argument and the flag."""
    return _WITH_FLAG.sub(r"\1", _RANGES.sub(r"say \1", message))


class RegistryGroup(TyperGroup):
    """The commands; of what is misspelt it tells what comes near, in one way."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Read the options that come before a command."""
        with _suggesting():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Read a command with its options, and run it."""
        with _suggesting():
            return super().invoke(ctx)


@contextmanager
def _suggesting() -> Iterator[None]:
    try:
        yield
    except click.NoSuchOption as error:
        raise click.UsageError(_about_option(error), error.ctx) from error
    except click.UsageError as error:
        unknown = _UNKNOWN_COMMAND.match(error.message)
        group = error.ctx.command if error.ctx is not None else None
        if unknown is None or error.ctx is None or not isinstance(group, click.Group):
            raise
        known = group.list_commands(error.ctx)
        raise click.UsageError(
            f"there is no command {unknown[1]!r}; {did_you_mean(unknown[1], known)}",
            error.ctx,
        ) from error


def _about_option(error: click.NoSuchOption) -> str:
    wanted = error.option_name
    told = f"there is no option {wanted!r}"
    if error.ctx is None:
        return told
    if _is_of_a_command(wanted, error.ctx.command):
        return f"{told} here: write it after the command"
    known = []
    for parameter in error.ctx.command.get_params(error.ctx):
        if isinstance(parameter, typer.core.TyperArgument):
            if wanted.lstrip("-") == parameter.name:
                place = parameter.make_metavar(error.ctx)
                return f"{told}: give {place} without an option"
        elif not getattr(parameter, "hidden", False):
            known += [*parameter.opts, *parameter.secondary_opts]
    return f"{told}; {did_you_mean(wanted, [o for o in known if o.startswith('--')])}"


def _is_of_a_command(option: str, group: click.Command) -> bool:
    """Tell whether a command of a group takes an option."""
    return isinstance(group, click.Group) and any(
        option in (*parameter.opts, *parameter.secondary_opts)
        for command in group.commands.values()
        for parameter in command.params
    )
