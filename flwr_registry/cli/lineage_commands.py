"""Commands that follow versions through their past, and compare them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from flwr_registry.cli.application import (
    Format,
    OutputFormat,
    RegistryPlace,
    StoragePlace,
    VersionOrRun,
    app,
    opened_registry,
    print_json,
    print_lines,
    print_rich,
)
from flwr_registry.cli.flower_runs import newest_version
from flwr_registry.cli.lineage_drawing import lineage_dot, lineage_tree
from flwr_registry.cli.rendering import diff_parts

__all__ = ["diff", "lineage"]


@app.command()
def lineage(
    reference: VersionOrRun,
    dot: Annotated[
        bool, typer.Option("--dot", help="Print a graph for Graphviz.")
    ] = False,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Show what a version was trained from, and what was trained from it.

    Given the number that `flwr run` printed, it is that run's newest version.
    """
    with opened_registry(registry, storage) as opened:
        found = opened.lineage(newest_version(opened, reference))
        if output is OutputFormat.JSON:
            print_json(opened, asdict(found))
        elif dot:
            print_lines(lineage_dot(found))
        else:
            print_rich(lineage_tree(found))


@app.command()
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A version.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Compare two versions: weights, metrics, contributors, configuration."""
    with opened_registry(registry, storage) as opened:
        found = opened.diff(a, b)
        if output is OutputFormat.JSON:
            print_json(opened, {"diff": asdict(found)})
            return
        for part in diff_parts(found):
            print_rich(part)
