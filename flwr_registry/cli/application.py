"""The application, the options that commands share, and how they print and fail."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.text import Text

import flwr_registry
from flwr_registry.cli.lost_database import tell_after, tell_unknown
from flwr_registry.cli.messages import RegistryGroup, in_flags
from flwr_registry.cli.terminal import (
    console,
    error_lines,
    json_text,
    print_lines,
    print_rich,
    tell,
)
from flwr_registry.errors import RegistryError, counted
from flwr_registry.metric_direction import Direction, known_direction
from flwr_registry.registry import (
    ModelRegistry,
    to_json,
)
from flwr_registry.shown_text import one_line

__all__ = [
    "Actor",
    "Format",
    "Mode",
    "OutputFormat",
    "ReferenceText",
    "RegistryPlace",
    "StoragePlace",
    "VersionOrRun",
    "Yes",
    "app",
    "chosen_direction",
    "confirmed",
    "console",
    "database_app",
    "errors_reported",
    "opened_registry",
    "places_line",
    "print_json",
    "print_lines",
    "print_rich",
    "tell",
]


class OutputFormat(StrEnum):
    """How results are printed."""

    DEFAULT = "default"
    JSON = "json"


RegistryPlace = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="URL",
        help="Database: SQLAlchemy URL or path of an SQLite file.",
    ),
]
StoragePlace = Annotated[
    str | None,
    typer.Option("--storage", metavar="URL", help="Folder or URL of the weights."),
]
Format = Annotated[
    OutputFormat, typer.Option("--format", case_sensitive=False, help="Output format.")
]
ReferenceText = Annotated[
    str,
    typer.Argument(
        metavar="REF", help="NAME, NAME:1.4.0, NAME@ALIAS or models:/NAME/1.4.0."
    ),
]
VersionOrRun = Annotated[
    str,
    typer.Argument(
        metavar="REF",
        help="NAME, NAME:1.4.0, NAME@ALIAS, models:/NAME/1.4.0, or the number that "
        "`flwr run` printed.",
    ),
]

Actor = Annotated[
    str | None,
    typer.Option("--actor", help="Who; by default the operating system's user."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]


def _checked_mode(mode: str | None) -> str | None:
    if mode in {None, "max", "min"}:
        return mode
    raise typer.BadParameter("use max or min, whichever is better")


Mode = Annotated[
    str | None,
    typer.Option(
        metavar="max|min",
        callback=_checked_mode,
        help="Whether more or less of the metric is better; by default its name tells.",
    ),
]

app = typer.Typer(
    cls=RegistryGroup,
    suggest_commands=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A model registry for Flower: every round a verified version with its past.",
)
database_app = typer.Typer(no_args_is_help=True, help="Look after the database.")
app.add_typer(database_app, name="database")


def _print_version(wanted: bool) -> None:
    if wanted:
        print_lines(f"flwr-registry {flwr_registry.__version__}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Show the version.",
        ),
    ] = False,
) -> None:
    """Take the options that come before a command."""


@contextmanager
def opened_registry(
    url: str | None, storage: str | None, *, create: bool = False
) -> Iterator[ModelRegistry]:
    """Open the registry that the options name; its errors end the command."""
    with (
        errors_reported(lambda error: tell_after(error, url, storage)),
        ModelRegistry(url, storage, create=create) as opened,
    ):
        try:
            yield opened
        except typer.Exit:
            tell_unknown(opened)
            raise
        tell_unknown(opened)


@contextmanager
def errors_reported(
    then: Callable[[Exception], object] = lambda _: None,
) -> Iterator[None]:
    """Print an error of this package on stderr, and exit with 1.

    So too when something optional is not installed; the message says how to.

    Parameters
    ----------
    then : callable
        What else is to be said after an error.
    """
    try:
        yield
    except (RegistryError, ImportError) as error:
        first, *more = map(in_flags, error_lines(error))
        tell(f"Error: {first}", *more, color="red")
        then(error)
        raise typer.Exit(1) from error


def chosen_direction(metric: str, mode: str | None) -> Direction:
    """Return which way a metric is better; where nothing tells, ask for --mode."""
    try:
        return known_direction(metric, mode, "--mode")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def confirmed(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be taken back; end the command on a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        tell("Error: nobody is there to ask: say --yes", color="red")
        raise typer.Exit(1)
    try:
        typer.confirm(one_line(question), abort=True, err=True)
    except typer.Abort as abort:
        # Of a question it makes an abort of its own, which ends with 1.
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from abort
        raise


def print_json(opened: ModelRegistry, content: Mapping[str, Any]) -> None:
    """Print records as JSON, with the places that they come from."""
    places = {"registry": opened.url, "storage": opened.storage.url}
    print_lines(json_text({**places, **to_json(content)}, indent=2))


def places_line(opened: ModelRegistry, count: int) -> Text:
    """Say how many versions are shown, and from where."""
    versions = counted(count, "version") if count else "no versions"
    return Text(f"{versions} in {opened.url}, weights in {opened.storage.url}", "dim")
