"""Commands about runs."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from flwr_registry.cli.application import (
    Actor,
    Format,
    OutputFormat,
    RegistryPlace,
    StoragePlace,
    Yes,
    app,
    confirmed,
    opened_registry,
    print_json,
    print_rich,
    tell,
)
from flwr_registry.cli.flower_runs import run_name, versions_of
from flwr_registry.cli.rendering import add_row, run_panel, table_of
from flwr_registry.errors import ModelNotFoundError, did_you_mean
from flwr_registry.records import Run
from flwr_registry.registry import ModelRegistry

__all__ = ["run_app", "show_runs"]

RunName = Annotated[
    str, typer.Argument(metavar="NAME", help="Its name, or the number of `flwr run`.")
]

run_app = typer.Typer(no_args_is_help=True, help="Look at runs, and free them.")
app.add_typer(run_app, name="run")


@app.command("runs")
def list_runs(
    model: Annotated[str | None, typer.Argument(help="Only this model.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """List the runs, newest first: each start, and how many versions its run made."""
    with opened_registry(registry, storage) as opened:
        found = opened.runs(model)
        if model is not None and not found:
            # A run has a model before it made a version; this one is unknown if it
            # has neither.
            opened.latest(model)
        runs = found[:limit]
        if output is OutputFormat.JSON:
            print_json(opened, {"runs": [asdict(each) for each in runs]})
            return
        table = table_of("run", "model", "#versions", "started (UTC)", "Flower's run")
        made = _versions_made(found, opened.count_versions(model))
        for each in runs:
            about = each.provenance
            add_row(
                table,
                about.name,
                about.model,
                str(made[about.model, about.name]),
                f"{each.started_at:%Y-%m-%d %H:%M}",
                about.flwr_run_id,
            )
        print_rich(table if runs else "no run")
        if len(found) > limit:
            tell(f"{len(found) - limit} more with --limit {len(found)}")


def _versions_made(
    starts: Iterable[Run], counts: Mapping[int, int]
) -> Counter[tuple[str, str]]:
    """Add up what the starts of each run made."""
    made: Counter[tuple[str, str]] = Counter()
    for each in starts:
        made[each.provenance.model, each.provenance.name] += counts.get(each.id, 0)
    return made


@run_app.command("show")
def show_run(
    name: RunName,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Show where a run comes from, and the versions that it made."""
    with opened_registry(registry, storage) as opened:
        wanted = run_name(opened, name)
        runs = [run for run in opened.runs() if run.provenance.name == wanted]
        if not runs:
            told = _unknown_run(opened, name, f"no run {name!r}")
            raise ModelNotFoundError(told, reference=name)
        show_runs(opened, runs, output)


def show_runs(opened: ModelRegistry, runs: list[Run], output: OutputFormat) -> None:
    """Show runs, which have one name or one number of Flower."""
    versions = versions_of(opened, runs)
    if output is OutputFormat.JSON:
        described = {
            "runs": [asdict(each) for each in runs],
            "versions": [asdict(each) for each in versions],
        }
        print_json(opened, described)
        return
    for run in runs:
        made = [each for each in versions if each.run_id == run.id]
        print_rich(run_panel(run, made))


@run_app.command()
def release(
    name: RunName,
    yes: Yes = False,
    actor: Actor = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Free a run, so that its next start need not wait for the start that holds it.

    A holder that is still alive can write nothing once that start has begun.
    """
    with opened_registry(registry, storage) as opened:
        name = run_name(opened, name)
        held = opened.run_lease(name)
        if held is None:
            problem = f"no start of run {name} ever held it"
            raise ModelNotFoundError(_unknown_run(opened, name, problem))
        if not held.released:
            question = f"Run {name} is held by {held}. Free it?"
            # Whoever calls it in a script has decided: nothing is lost by it.
            confirmed(question, yes=yes or not sys.stdin.isatty())
            opened.release_run(name, actor=actor)
        if output is OutputFormat.JSON:
            said = {**asdict(held), "released": True}
            print_json(opened, {"lease": said, "was_held": not held.released})
            return
        was = "was held by" if not held.released else "is free already; last held by"
        print_rich(Text(f"run {name} {was} {held}"))
        if not held.released:
            print_rich("it is free now")


def _unknown_run(opened: ModelRegistry, name: str, problem: str) -> str:
    known = list(dict.fromkeys(run.provenance.name for run in opened.runs()))
    near = did_you_mean(name, known, "the newest are")
    return problem if name in known else f"{problem}; {near}"
