"""The command line: what lies in a registry, and where it came from."""

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
from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

import flwr_registry
from flwr_registry.errors import RegistryError
from flwr_registry.records import Contribution, Lineage, ModelVersion, Run
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
_DIGEST_CHARACTERS = 12
_STYLES = {"active": "bold green", "archived": "dim", "failed": "red"}


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
            _print(_version_table(name, list(group), wide=wide))
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
        facts = _facts_of(version, run, opened.storage.url)
        parts: list[RenderableType] = [_key_values(facts)]
        parts += [_errors_of(version)] if version.validation_errors else []
        parts += [_metrics_table(version.metrics)] if version.metrics else []
        parts += [_contribution_table(given)] if given else []
        title = Text(version.reference, style="bold")
        _print(Panel.fit(Group(*_spaced(parts)), title=title, title_align="left"))


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
            _print(_lineage_tree(found))


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


def _version_table(model: str, versions: list[ModelVersion], *, wide: bool) -> Table:
    table = _table("version", "status", "parent", "#round", "#nodes", "#loss")
    _add_columns(table, "#accuracy", "#size", "digest")
    if wide:
        _add_columns(table, "created (UTC)")
    table.title, table.title_justify, table.title_style = model, "left", "bold"
    for version in versions:
        cells = (
            Text(version.version, "bold"),
            _status_of(version),
            version.parent_version or "",
            _number(version.server_round),
            _number(version.num_clients),
            _number(version.val_loss),
            _number(version.val_accuracy),
            decimal(version.file_size_bytes),
            version.checksum[:_DIGEST_CHARACTERS],
            f"{version.created_at:%Y-%m-%d %H:%M}",
        )
        _add_row(table, *cells[: len(table.columns)])
    return table


def _facts_of(
    version: ModelVersion, run: Run | None, storage_url: str
) -> dict[str, str | Text]:
    said = version.metadata
    facts: dict[str, str | Text] = {
        "status": _status_of(version),
        "parent": version.parent_version or "none, a root",
        "created": f"{version.created_at:%Y-%m-%d %H:%M:%S} UTC by {said.created_by}",
        "weights": f"{storage_url}/{version.storage_path}",
        "size": f"{decimal(version.file_size_bytes)} ({version.file_size_bytes} bytes)",
        "sha256": version.checksum,
        "fingerprint": version.fingerprint,
        "architecture": " ".join(filter(None, (said.architecture, said.framework))),
        "description": said.description,
        "tags": ", ".join(f"{key}={value}" for key, value in said.tags.items()),
    }
    if version.epsilon is not None:
        facts["privacy"] = f"epsilon {version.epsilon:g}, delta {version.delta:g}"
    if run is not None:
        came = run.provenance
        round_text = f", round {version.server_round}" if version.server_round else ""
        facts |= {
            "run": f"{came.name}{round_text}",
            "flwr run": came.flwr_run_id,
            "app": " ".join(filter(None, (came.app_id, came.app_version))),
            "federation": came.federation,
            "strategy": came.strategy,
            "made with": ", ".join(f"{k} {v}" for k, v in came.versions.items()),
        }
    return {name: fact for name, fact in facts.items() if fact}


def _errors_of(version: ModelVersion) -> Text:
    lines = "\n".join(f"- {error}" for error in version.validation_errors)
    return Text(_printable(f"failed validation\n{lines}"), style="red")


def _metrics_table(metrics: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table("source", "metric", "#value")
    for source, measured in metrics.items():
        for name, value in measured.items():
            _add_row(table, source.replace("_", " "), name, _number(value))
    return table


def _contribution_table(contributions: tuple[Contribution, ...]) -> Table:
    table = _table("node", "status", "#examples", "#share", "metrics")
    for given in contributions:
        share = given.weight_share
        told = (f"{name} {_number(value)}" for name, value in given.metrics.items())
        failed = Text(given.error_reason, "red")
        _add_row(
            table,
            given.node_id,
            given.status.replace("_", " "),
            _number(given.num_examples),
            "" if share is None else f"{share:.1%}",
            failed if given.error_reason else ", ".join(told),
        )
    return table


def _lineage_tree(found: Lineage) -> Tree:
    line = [*reversed(found.ancestors), found.version]
    children: dict[int | None, list[ModelVersion]] = {}
    for version in [*line, *found.descendants]:
        children.setdefault(version.parent_id, []).append(version)
    on_line = {version.id for version in line}
    tree = Tree(Text(found.version.model, "bold"), guide_style="dim")
    _add_line(tree, line[0], children, on_line, found.version.id)
    return tree


def _add_line(
    tree: Tree,
    first: ModelVersion,
    children: Mapping[int | None, list[ModelVersion]],
    on_line: set[int],
    marked: int,
) -> None:
    """Add a version and its line of descent at one level, and its branches below."""
    above: ModelVersion | None = None
    version: ModelVersion | None = first
    while version is not None:
        node = tree.add(_lineage_label(version, above, version.id == marked))
        following = sorted(
            children.get(version.id, []),
            key=lambda child: (child.id not in on_line, bool(child.validation_errors)),
        )
        for branch in following[1:]:
            _add_line(node, branch, children, on_line, marked)
        # Under a branch the line above is another one, so the parent is named.
        above = version if len(following) == 1 else None
        version = following[0] if following else None


def _lineage_label(
    version: ModelVersion, above: ModelVersion | None, marked: bool
) -> Text:
    label = Text(version.version, "bold reverse" if marked else "bold")
    label.append("  ").append_text(_status_of(version))
    if version.run_name and version.server_round:
        label.append(f"  {version.run_name} round {version.server_round}", "not bold")
    for name, value in (("loss", version.val_loss), ("accuracy", version.val_accuracy)):
        if value is not None:
            label.append(f"  {name} {_number(value)}", "not bold dim")
    if version.parent_version and above is None:
        label.append(f"  from {version.parent_version}", "not bold italic")
    return label


def _status_of(version: ModelVersion) -> Text:
    status = "active, production" if version.is_production else version.status.value
    return Text(status, _STYLES.get(version.status.value, ""))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    _add_columns(table, *columns)
    return table


def _add_columns(table: Table, *names: str) -> None:
    """Add columns; numbers, marked by ``#``, stand on the right."""
    for name in names:
        right = name.startswith("#")
        table.add_column(name.removeprefix("#"), justify="right" if right else "left")


def _add_row(table: Table, *cells: str | Text) -> None:
    for cell in (row := [Text(c) if isinstance(c, str) else c for c in cells]):
        cell.plain = _printable(cell.plain)
    table.add_row(*row)


def _printable(text: str) -> str:
    """Show control characters as such: nodes may send them, terminals obey them."""
    return "".join(
        each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}"
        for each in text
    )


def _key_values(facts: Mapping[str, str | Text]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, fact in facts.items():
        _add_row(table, name, fact)
    return table


def _spaced(parts: list[RenderableType]) -> list[RenderableType]:
    return [piece for part in parts for piece in (Text(), part)][1:]


def _number(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
