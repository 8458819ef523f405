"""Commands that list and show, and those that look after the database."""

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
    database_app,
    errors_reported,
    opened_registry,
    places_line,
    print_json,
    print_lines,
    print_rich,
)
from flwr_registry.cli.flower_runs import find_flower_runs
from flwr_registry.cli.lost_database import tell_after
from flwr_registry.cli.rendering import print_versions, version_panel
from flwr_registry.cli.run_commands import show_runs
from flwr_registry.cli.terminal import json_text
from flwr_registry.records import ModelVersion, VersionStatus
from flwr_registry.registry import ModelRegistry, resolve_places, upgrade_database

_PAGE = 10_000


@app.command("list")
def list_versions(
    model: Annotated[str | None, typer.Argument(help="Only this model.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many, of the first.")
    ] = None,
    status: Annotated[
        VersionStatus | None, typer.Option(help="Only those of this status.")
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            metavar="FIELD [asc|desc]",
            help="created, version, metrics.NAME, or another number.",
        ),
    ] = "created desc",
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """List the versions, newest first."""
    with opened_registry(registry, storage) as opened:
        versions = _listed(opened, model, status, sort, limit)
        if model is not None and not (versions or status):
            opened.latest(model)
        if output is OutputFormat.JSON:
            print_json(opened, {"versions": [asdict(each) for each in versions]})
            return
        print_versions(sorted(versions, key=lambda version: version.model))
        print_rich(places_line(opened, len(versions)))


def _listed(
    opened: ModelRegistry,
    model: str | None,
    status: VersionStatus | None,
    sort: str,
    limit: int | None,
) -> list[ModelVersion]:
    """Return the first of the versions in an order; all of them without a limit."""
    if not opened.models():
        return []
    expression = f"status = '{status}'" if status else ""
    found: list[ModelVersion] = []
    token = None
    while limit is None or len(found) < limit:
        page = opened.search(
            expression,
            model=model,
            order_by=sort,
            page_size=_PAGE if limit is None else min(_PAGE, limit - len(found)),
            page_token=token,
        )
        found += page.versions
        token = page.next_page_token
        if token is None:
            break
    return found


@app.command()
def show(
    reference: VersionOrRun,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Show one version: where it came from, its metrics, and who gave to it.

    Given the number that `flwr run` printed, show what that run made.
    """
    with opened_registry(registry, storage) as opened:
        of_number = find_flower_runs(opened, reference)
        if of_number:
            show_runs(opened, of_number, output)
            return
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
            print_json(opened, described)
            return
        print_rich(version_panel(version, run, given, opened.storage.url))


@database_app.command("upgrade")
def upgrade(
    registry: RegistryPlace = None, output: Format = OutputFormat.DEFAULT
) -> None:
    """Bring a database to the schema of this release; back it up before."""
    with errors_reported(lambda error: tell_after(error, registry, None)):
        place = resolve_places(registry).shown_database_url
        before, after = upgrade_database(registry)
    if output is OutputFormat.JSON:
        print_lines(json_text({"registry": place, "before": before, "after": after}))
    elif before == after:
        print_lines(f"{place} is up to date (schema {after})")
    else:
        print_lines(f"{place} was upgraded from schema {before} to {after}")
