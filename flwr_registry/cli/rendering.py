"""Versions, contributions and lineages as rich text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flwr_registry.cli.messages import in_flags
from flwr_registry.cli.terminal import console, print_rich
from flwr_registry.records import (
    Contribution,
    ModelVersion,
    Run,
    VersionDiff,
    WeightsDiff,
)

__all__ = [
    "add_row",
    "diff_parts",
    "key_values",
    "number",
    "print_versions",
    "run_panel",
    "status_of",
    "table_of",
    "version_panel",
]

_DIGEST_CHARACTERS = 12
_COLUMN_GAP = 2
_PANEL_EDGES = 4
_IMPORTED = " (imported: it ran in another registry)"
_BAD = {"withdrawn", "damaged"}
_STYLES = {"active": "bold green", "archived": "dim", "failed": "red"}


def print_versions(versions: Iterable[ModelVersion]) -> None:
    """Print versions, a line each; neighbours of one model share a table."""
    for _, group in groupby(versions, key=lambda version: version.model):
        print_rich(_version_table(list(group), console().width))


_VERSION_CELLS: dict[str, Callable[[ModelVersion], str | Text]] = {
    "version": lambda each: Text(each.version, "bold"),
    "status": lambda each: status_of(each),  # noqa: PLW0108
    "parent": lambda each: each.parent_version or "",
    "#round": lambda each: number(each.server_round),
    "#nodes": lambda each: number(each.num_clients),
    "#loss": lambda each: number(each.val_loss),
    "#accuracy": lambda each: number(each.val_accuracy),
    "#size": lambda each: decimal(each.file_size_bytes),
    "digest": lambda each: each.checksum[:_DIGEST_CHARACTERS],
    "created (UTC)": lambda each: f"{each.created_at:%Y-%m-%d %H:%M}",
}
# What a narrow terminal has no room for, the first of these first.
_DISPENSABLE = ["created (UTC)", "#size", "#nodes", "parent", "#round"]


def _version_table(versions: Sequence[ModelVersion], width: int) -> Table:
    """Show versions of one model, with as many columns as there is room for."""
    columns = {
        name: [cell_of(each) for each in versions]
        for name, cell_of in _VERSION_CELLS.items()
    }
    widths = {
        name: _COLUMN_GAP + max(len(text) for text in (name.removeprefix("#"), *cells))
        for name, cells in columns.items()
    }
    for name in _DISPENSABLE:
        if sum(widths[each] for each in columns) - _COLUMN_GAP > width:
            del columns[name]
    table = table_of(*columns)
    table.title, table.title_justify = versions[0].model, "left"
    table.title_style = "bold"
    for column, name in zip(table.columns, columns, strict=True):
        if name != "status":
            # What one copies is never cut; a status has words, which wrap.
            column.no_wrap, column.min_width = True, widths[name] - _COLUMN_GAP
    for cells in zip(*columns.values(), strict=True):
        add_row(table, *cells)
    return table


def version_panel(
    version: ModelVersion,
    run: Run | None,
    contributions: tuple[Contribution, ...],
    storage_url: str,
) -> Panel:
    """Show all that is known of one version."""
    parts: list[RenderableType] = [key_values(_facts_of(version, run, storage_url))]
    parts += [_errors_of(version)] if version.validation_errors else []
    parts += [_metrics_table(version.metrics)] if version.metrics else []
    parts += [_contribution_table(contributions)] if contributions else []
    title = Text(version.reference, style="bold")
    return Panel.fit(Group(*_spaced(parts)), title=title, title_align="left")


def run_panel(run: Run, versions: Sequence[ModelVersion]) -> Panel:
    """Show where a run comes from, and the versions that it made."""
    model = run.provenance.model
    facts: dict[str, str | Text] = {
        "model": model,
        "started": f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC"
        f"{_IMPORTED if run.imported else ''}",
        **{n: fact for n, fact in _origin_of(run).items() if fact and n != "run"},
    }
    made: RenderableType = Text("it made no version", style="yellow")
    if versions:
        made = _version_table(versions, console().width - _PANEL_EDGES)
    title = Text(f"run {run.provenance.name}", style="bold")
    parts = _spaced([key_values(facts), made])
    return Panel.fit(Group(*parts), title=title, title_align="left")


def _facts_of(
    version: ModelVersion, run: Run | None, storage_url: str
) -> dict[str, str | Text]:
    said = version.metadata
    facts: dict[str, str | Text] = {
        "status": status_of(version),
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
        facts |= _origin_of(run)
        if version.server_round:
            facts["run"] += f", round {version.server_round}"
    return {name: fact for name, fact in facts.items() if fact}


def _origin_of(run: Run) -> dict[str, str]:
    came = run.provenance
    return {
        "run": f"{came.name}{_IMPORTED if run.imported else ''}",
        "flwr run": came.flwr_run_id,
        "app": " ".join(filter(None, (came.app_id, came.app_version))),
        "federation": came.federation,
        "strategy": came.strategy,
        "made with": ", ".join(f"{k} {v}" for k, v in came.versions.items()),
    }


def _errors_of(version: ModelVersion) -> Group:
    errors = map(in_flags, version.validation_errors)
    lines = ("failed validation", *(f"- {each}" for each in errors))
    return Group(*(Text(line, style="red") for line in lines))


def _metrics_table(metrics: Mapping[str, Mapping[str, Any]]) -> Table:
    table = table_of("source", "metric", "#value")
    for source, measured in metrics.items():
        for name, value in measured.items():
            add_row(table, source.replace("_", " "), name, number(value))
    return table


def _contribution_table(contributions: tuple[Contribution, ...]) -> Table:
    table = table_of("node", "status", "#examples", "#share", "metrics")
    for given in contributions:
        share = given.weight_share
        told = (f"{name} {number(value)}" for name, value in given.metrics.items())
        failed = Text(given.error_reason, "red")
        add_row(
            table,
            given.node_id,
            given.status.replace("_", " "),
            number(given.num_examples),
            "" if share is None else f"{share:.1%}",
            failed if given.error_reason else ", ".join(told),
        )
    return table


def diff_parts(found: VersionDiff) -> list[RenderableType]:
    """Show what differs, the layers that changed most at the top."""
    parts: list[RenderableType] = [Text(f"{found.a} -> {found.b}", "bold")]
    parts += _weights_parts(found.weights)
    if found.metrics:
        metrics = table_of("source", "metric", "#a", "#b", "#change")
        for each in found.metrics:
            values = map(number, (each.a, each.b, each.change))
            add_row(metrics, each.source.replace("_", " "), each.name, *values)
        parts.append(metrics)
    if found.configuration:
        settings = table_of("setting", "a", "b")
        for change in found.configuration:
            add_row(settings, change.name, str(change.a), str(change.b))
        parts.append(settings)
    nodes = found.contributors
    for said, names in (("only a", nodes.only_in_a), ("only b", nodes.only_in_b)):
        parts += [Text(f"nodes of {said}: {', '.join(names)}")] if names else []
    parts.append(Text(f"nodes of both: {len(nodes.both)}"))
    return _spaced(parts)


def _weights_parts(weights: WeightsDiff | None) -> list[RenderableType]:
    if weights is None:
        return [Text("weights: retention removed the bytes of one of them", "dim")]
    if weights.identical:
        return [Text("weights: the same bytes")]
    if weights.opaque:
        return [Text("weights: serialized models without layers to compare")]
    table = table_of("layer", "#norm a", "#norm b", "#change", "#relative", "#largest")
    _add_columns(table, "#cosine")
    total = [weights.total] if weights.total else []
    ordered = sorted(weights.layers, key=lambda each: -(each.relative_change or 0.0))
    for layer in [*total, *ordered]:
        relative = layer.relative_change
        add_row(
            table,
            layer.name or "all layers",
            number(layer.norm_a),
            number(layer.norm_b),
            number(layer.norm_difference),
            "" if relative is None else f"{relative:.2%}",
            number(layer.largest_change),
            number(layer.cosine),
        )
    parts: list[RenderableType] = [table]
    for other in weights.mismatched:
        a, b = f"{other.dtype_a} {other.shape_a}", f"{other.dtype_b} {other.shape_b}"
        parts.append(Text(f"{other.name}: {a} -> {b}", "yellow"))
    for said, names in (("a", weights.only_in_a), ("b", weights.only_in_b)):
        if names:
            parts.append(Text(f"only in {said}: {', '.join(names)}", "yellow"))
    return parts


def status_of(version: ModelVersion) -> Text:
    """Show the status of a version with all that holds of it."""
    status = "active, production" if version.is_production else version.status.value
    flags = {
        "withdrawn": version.withdrawn,
        "superseded": version.superseded,
        "damaged": version.damaged_at is not None,
        "bytes removed": version.bytes_removed_at is not None,
        "pinned": version.pinned,
    }
    text = Text(status, _STYLES.get(version.status.value, ""))
    for flag, holds in flags.items():
        if holds:
            text.append(f", {flag}", "red" if flag in _BAD else "dim")
    return text


def table_of(*columns: str) -> Table:
    """Make a table without lines; columns marked by ``#`` stand on the right."""
    table = Table(
        box=None, pad_edge=False, padding=(0, _COLUMN_GAP, 0, 0), header_style="dim"
    )
    _add_columns(table, *columns)
    return table


def _add_columns(table: Table, *names: str) -> None:
    """Add columns; numbers, marked by ``#``, stand on the right."""
    for name in names:
        right = name.startswith("#")
        table.add_column(name.removeprefix("#"), justify="right" if right else "left")


def add_row(table: Table, *cells: str | Text) -> None:
    """Add a row to a table; nothing in a text is markup."""
    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))


def key_values(facts: Mapping[str, str | Text]) -> Table:
    """Show facts, a line each."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, fact in facts.items():
        add_row(table, name, fact)
    return table


def _spaced(parts: list[RenderableType]) -> list[RenderableType]:
    return [piece for part in parts for piece in (Text(), part)][1:]


def number(value: Any) -> str:
    """Show a number in four digits, nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
