"""Commands about checkpoints."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from flwr_registry.cli.application import (
    Format,
    OutputFormat,
    RegistryPlace,
    StoragePlace,
    app,
    opened_registry,
    print_json,
    print_rich,
)

__all__ = ["checkpoints_app"]

checkpoints_app = typer.Typer(no_args_is_help=True, help="Look after checkpoints.")
app.add_typer(checkpoints_app, name="checkpoints")


@checkpoints_app.callback()
def _group() -> None:
    """Keep the name of its only command."""


@checkpoints_app.command()
def seal(
    replace: Annotated[
        bool, typer.Option("--replace", help="Also those sealed with another key.")
    ] = False,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Seal checkpoints that have no seal, with the key of FLWR_REGISTRY_SEAL_KEY.

    Do so only if nobody else could write to the storage so far.
    """
    with opened_registry(registry, storage) as opened:
        sealed = opened.seal_checkpoints(replace=replace)
        if output is OutputFormat.JSON:
            print_json(opened, {"sealed": sealed})
            return
        for each in sealed:
            print_rich(Text(f"sealed checkpoint {each}"))
        print_rich(f"{len(sealed)} checkpoints have a new seal")
