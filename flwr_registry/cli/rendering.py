"""Versions, contributions and lineages as rich text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from flwr_registry.records import Contribution, Lineage, ModelVersion, Run

__all__ = ["lineage_tree", "version_panel", "version_table"]

_DIGEST_CHARACTERS = 12
_STYLES = {"active": "bold green", "archived": "dim", "failed": "red"}


def version_table(model: str, versions: list[ModelVersion], *, wide: bool) -> Table:
    """Show versions of a model, a line each.

    Parameters
    ----------
    wide : bool
        There is room for the time of each version.
    """
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


def version_panel(
    version: ModelVersion,
    run: Run | None,
    contributions: tuple[Contribution, ...],
    storage_url: str,
) -> Panel:
    """Show all that is known of one version."""
    parts: list[RenderableType] = [_key_values(_facts_of(version, run, storage_url))]
    parts += [_errors_of(version)] if version.validation_errors else []
    parts += [_metrics_table(version.metrics)] if version.metrics else []
    parts += [_contribution_table(contributions)] if contributions else []
    title = Text(version.reference, style="bold")
    return Panel.fit(Group(*_spaced(parts)), title=title, title_align="left")


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


def lineage_tree(found: Lineage) -> Tree:
    """Show a version among its ancestors and descendants, branches below them."""
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
