"""The commands: what lies in a registry, and where it came from."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from itertools import groupby
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.text import Text

import flwr_registry
from flwr_registry.cli.rendering import lineage_tree, version_panel, version_table
from flwr_registry.errors import RegistryError
from flwr_registry.registry import (
    ModelRegistry,
    resolve_places,
    to_json,
    upgrade_database,
)

__all__ = ["app"]

# A pipe has no width: lines are as long as their content wants.
_PIPE_WIDTH = 240
# Narrower terminals have no room for the time of each version.
_WIDE = 100


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

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A model registry for Flower: every round a verified version with its past.",
)
database_app = typer.Typer(no_args_is_help=True, help="Look after the database.")
app.add_typer(database_app, name="database")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"flwr-registry {flwr_registry.__version__}")
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


@app.command("list")
def list_versions(
    model: Annotated[str | None, typer.Argument(help="Only this model.")] = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """List the versions, newest first."""
    with _opened(registry, storage) as opened:
        versions = opened.list(model)
        if model is not None and not versions:
            opened.latest(model)
        if output is OutputFormat.JSON:
            _print_json(opened, {"versions": [asdict(each) for each in versions]})
            return
        by_model = sorted(versions, key=lambda version: version.model)
        for name, group in groupby(by_model, key=lambda version: version.model):
            wide = _console().width >= _WIDE
            _print(version_table(name, list(group), wide=wide))
        _print(_places(opened, len(versions)))


@app.command()
def show(
    reference: ReferenceText,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Show one version: where it came from, its metrics, and who gave to it."""
    with _opened(registry, storage) as opened:
        version = opened.get(reference)
        given = opened.contributions(version.reference)
        runs = opened.runs(version.model)
        run = next((each for each in runs if each.id == version.run_id), None)
        if output is OutputFormat.JSON:
            described = {
                "version": asdict(version),
                "run": asdict(run) if run else None,
                "contributions": [asdict(each) for each in given],
            }
            _print_json(opened, described)
            return
        _print(version_panel(version, run, given, opened.storage.url))


@app.command()
def lineage(
    reference: ReferenceText,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Show what a version was trained from, and what was trained from it."""
    with _opened(registry, storage) as opened:
        found = opened.lineage(reference)
        if output is OutputFormat.JSON:
            _print_json(opened, asdict(found))
        else:
            _print(lineage_tree(found))


@database_app.command("upgrade")
def upgrade(
    registry: RegistryPlace = None, output: Format = OutputFormat.DEFAULT
) -> None:
    """Bring a database to the schema of this release; back it up before."""
    with _errors_reported():
        place = resolve_places(registry).shown_database_url
        before, after = upgrade_database(registry)
    if output is OutputFormat.JSON:
        typer.echo(json.dumps({"registry": place, "before": before, "after": after}))
    elif before == after:
        typer.echo(f"{place} is up to date (schema {after})")
    else:
        typer.echo(f"{place} was upgraded from schema {before} to {after}")


@contextmanager
def _opened(url: str | None, storage: str | None) -> Iterator[ModelRegistry]:
    with _errors_reported(), ModelRegistry(url, storage, create=False) as opened:
        yield opened


@contextmanager
def _errors_reported() -> Iterator[None]:
    try:
        yield
    except RegistryError as error:
        typer.secho(f"Error: {error}", fg="red", err=True)
        raise typer.Exit(1) from error


def _console() -> Console:
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)


def _print(what: RenderableType) -> None:
    _console().print(what)


def _print_json(opened: ModelRegistry, content: Mapping[str, Any]) -> None:
    places = {"registry": opened.url, "storage": opened.storage.url}
    typer.echo(json.dumps({**places, **to_json(content)}, indent=2, allow_nan=False))


def _places(opened: ModelRegistry, count: int) -> Text:
    versions = "1 version" if count == 1 else f"{count or 'no'} versions"
    return Text(f"{versions} in {opened.url}, weights in {opened.storage.url}", "dim")
