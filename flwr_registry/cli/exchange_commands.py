"""Commands that bring versions in and out: register, export, import."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from flwr_registry.cli.application import (
    Actor,
    Format,
    OutputFormat,
    ReferenceText,
    RegistryPlace,
    StoragePlace,
    app,
    opened_registry,
    print_json,
    print_rich,
)
from flwr_registry.records import ModelVersion, VersionMetadata
from flwr_registry.registry import ExportFormat, ModelRegistry, current_actor

__all__ = ["export", "import_bundle", "register"]

_PAIRS = typer.Option(metavar="NAME=VALUE", help="May be repeated.")


@app.command()
def register(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help=".safetensors, .pt, .npz or .json.")
    ],
    model: Annotated[str, typer.Option(help="Name of the model.")],
    version: Annotated[
        str | None, typer.Option(help="The number; chosen by default.")
    ] = None,
    bump: Annotated[
        str | None, typer.Option(help="patch, minor or major: how to choose it.")
    ] = None,
    parent: Annotated[
        str | None, typer.Option(metavar="REF", help="What it was trained from.")
    ] = None,
    metric: Annotated[list[str] | None, _PAIRS] = None,
    tag: Annotated[list[str] | None, _PAIRS] = None,
    description: Annotated[str, typer.Option(help="Free text.")] = "",
    architecture: Annotated[str, typer.Option(help="Such as ResNet50.")] = "",
    framework: Annotated[str, typer.Option(help="Such as pytorch.")] = "",
    actor: Actor = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Make a version of a file with weights, validated before anything is written."""
    if bump not in {None, "patch", "minor", "major"}:
        raise typer.BadParameter("use patch, minor or major", param_hint="--bump")
    if version is not None and bump is not None:
        raise typer.BadParameter("give either --version or --bump")
    metrics = {name: _number(value) for name, value in _pairs(metric)}
    metadata = VersionMetadata(
        architecture=architecture,
        framework=framework,
        description=description,
        tags=dict(_pairs(tag)),
        created_by=current_actor(actor),
    )
    if not file.is_file():
        raise typer.BadParameter(f"there is no file {file}", param_hint="FILE")
    with opened_registry(registry, storage, create=True) as opened:
        made = opened.register(
            file,
            model=model,
            version=version,
            bump=bump,
            parent=parent,
            metrics=metrics,
            metadata=metadata,
        )
        _tell(opened, made, "is registered", output)


@app.command()
def export(
    reference: ReferenceText,
    path: Annotated[Path, typer.Argument(help="File, or folder for huggingface.")],
    to: Annotated[
        ExportFormat, typer.Option("--to", help="What to write.")
    ] = ExportFormat.SAFETENSORS,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is there.")
    ] = False,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Write a version into a file that another program reads."""
    with opened_registry(registry, storage) as opened:
        place = opened.export(reference, path, to=to, overwrite=overwrite)
        if output is OutputFormat.JSON:
            print_json(opened, {"path": str(place.resolve()), "to": to.value})
        else:
            print_rich(Text(f"{reference} is in {place}"))


@app.command("import")
def import_bundle(
    path: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="Of export --to bundle.")
    ],
    model: Annotated[
        str | None, typer.Option(help="Another name for the model.")
    ] = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Take in a version of another registry, its digest checked."""
    with opened_registry(registry, storage, create=True) as opened:
        made = opened.import_bundle(path, model=model)
        _tell(opened, made, "is imported", output)


def _tell(
    opened: ModelRegistry, made: ModelVersion, what: str, output: OutputFormat
) -> None:
    if output is OutputFormat.JSON:
        print_json(opened, {"version": asdict(made)})
        return
    said = f"parent {made.parent_version or 'none'}, sha256 {made.checksum[:12]}"
    print_rich(Text(f"{made.reference} {what} ({said})"))


def _pairs(texts: list[str] | None) -> list[tuple[str, str]]:
    pairs = []
    for text in texts or ():
        name, found, value = text.partition("=")
        if not found or not name:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
        pairs.append((name, value))
    return pairs


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no number") from error
