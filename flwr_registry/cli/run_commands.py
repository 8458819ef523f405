"""Commands about runs."""

from __future__ import annotations

import sys
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
from flwr_registry.cli.flower_runs import run_name

__all__ = ["run_app"]

run_app = typer.Typer(no_args_is_help=True, help="Look after runs.")
app.add_typer(run_app, name="run")


@run_app.callback()
def _group() -> None:
    """Keep the name of its only command."""


@run_app.command()
def release(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Its name, or the number of `flwr run`."),
    ],
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
            message = f"Error: no start of run {name} ever held it"
            tell(message, color="red")
            raise typer.Exit(1)
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
