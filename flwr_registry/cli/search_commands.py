"""The command that searches by an expression."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from flwr_registry.cli.application import (
    Format,
    OutputFormat,
    RegistryPlace,
    StoragePlace,
    app,
    opened_registry,
    places_line,
    print_json,
    print_rich,
    tell,
)
from flwr_registry.cli.rendering import print_versions


@app.command()
def search(
    expression: Annotated[
        str,
        typer.Argument(help="Such as \"metrics.accuracy > 0.9 and tags.site = 'x'\"."),
    ] = "",
    model: Annotated[
        str | None, typer.Option("--model", help="Only versions of this model.")
    ] = None,
    order_by: Annotated[
        str,
        typer.Option(
            "--order-by",
            metavar="FIELD [asc|desc]",
            help="created, version, or a field or metric that is a number.",
        ),
    ] = "created desc",
    limit: Annotated[int, typer.Option("--limit", help="At most so many.")] = 100,
    page_token: Annotated[
        str | None,
        typer.Option("--page-token", help="Go on where the page before ended."),
    ] = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Find versions by metric, tag, run, node, round, status or time."""
    with opened_registry(registry, storage) as opened:
        page = opened.search(
            expression,
            model=model,
            order_by=order_by,
            page_size=limit,
            page_token=page_token,
        )
        if output is OutputFormat.JSON:
            print_json(opened, asdict(page))
            return
        print_versions(page.versions)
        print_rich(places_line(opened, len(page.versions)))
        if page.next_page_token is not None:
            tell(f"more with --page-token {page.next_page_token}")
