"""Lineages as a tree of text, and as a graph."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text
from rich.tree import Tree

from flwr_registry.cli.rendering import number, status_of
from flwr_registry.records import Lineage, ModelVersion

__all__ = ["lineage_dot", "lineage_tree"]

_COLORS = {"active": "green", "failed": "red", "archived": "gray"}


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
    label.append("  ").append_text(status_of(version))
    if version.run_name and version.server_round:
        label.append(f"  {version.run_name} round {version.server_round}", "not bold")
    for name, value in (("loss", version.val_loss), ("accuracy", version.val_accuracy)):
        if value is not None:
            label.append(f"  {name} {number(value)}", "not bold dim")
    if version.parent_version and above is None:
        label.append(f"  from {version.parent_version}", "not bold italic")
    return label


def lineage_dot(found: Lineage) -> str:
    """Draw a lineage in the language of Graphviz."""
    versions = [*reversed(found.ancestors), found.version, *found.descendants]
    shown = {version.id for version in versions}
    lines = [f"digraph {_quoted(found.version.model)} {{", "  rankdir=LR;"]
    for version in versions:
        label = f"{version.version}\\n{status_of(version).plain}"
        color = _COLORS.get(version.status.value, "black")
        style = ", style=bold" if version.id == found.version.id else ""
        number_of = _quoted(version.version)
        lines.append(f'  {number_of} [label="{label}", color={color}{style}];')
        if version.parent_id in shown:
            lines.append(f"  {_quoted(str(version.parent_version))} -> {number_of};")
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    return f'"{text}"'
