"""Commands that bring versions in and out, and say what they are."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

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
    tell,
)
from flwr_registry.cli.messages import in_flags
from flwr_registry.records import ModelVersion, VersionMetadata
from flwr_registry.registry import ExportFormat, ModelRegistry, current_actor

__all__ = ["describe", "export", "import_bundle", "pull", "register"]

_PAIRS = typer.Option(metavar="NAME=VALUE", help="May be repeated.")
AnyValue = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="A metric of any value; else a loss from 0 on, an accuracy up to 1.",
    ),
]


@app.command()
def register(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            readable=True,
            help=".safetensors, .pt, .npz, or XGBoost's .json or .ubj.",
        ),
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
    any_value: AnyValue = None,
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
    with opened_registry(registry, storage, create=True) as opened:
        made = opened.register(
            file,
            model=model,
            version=version,
            bump=bump,
            parent=parent,
            metrics=metrics,
            metadata=metadata,
            metric_ranges=_ranges(any_value),
        )
        _tell_errors(made)
        _tell(opened, made, f"is registered {_origin(made)}", output)


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


@app.command()
def pull(
    reference: ReferenceText,
    folder: Annotated[Path, typer.Argument(help="New, or pulled into before.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace other files that are there.")
    ] = False,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Fetch the files of a version into a folder, for another program to serve.

    Digests are checked. Files that are there with the same digest stay.
    """
    with opened_registry(registry, storage) as opened:
        pulled = opened.pull(reference, folder, overwrite=overwrite)
        if output is OutputFormat.JSON:
            print_json(opened, {"pulled": asdict(pulled)})
            return
        checksum = pulled.version.checksum[:12]
        print_rich(
            Text(f"{pulled.version.reference} is in {pulled.path} (sha256 {checksum})")
        )
        for name in sorted((*pulled.written, *pulled.kept)):
            state = "written" if name in pulled.written else "was there already"
            print_rich(Text(f"  {name}: {state}"))


@app.command("import")
def import_bundle(
    path: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="Of export --to bundle.")
    ],
    model: Annotated[
        str | None, typer.Option(help="Another name for the model.")
    ] = None,
    any_value: AnyValue = None,
    actor: Actor = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Take in a version of another registry, its digest checked.

    A version that is here gets its bytes back, if retention removed them, or they are
    lost or damaged.
    """
    with opened_registry(registry, storage, create=True) as opened:
        made = opened.import_bundle(
            path, model=model, actor=actor, metric_ranges=_ranges(any_value)
        )
        _tell_errors(made)
        _tell(opened, made, f"is imported {_origin(made)}", output)


@app.command()
def describe(
    reference: ReferenceText,
    description: Annotated[str | None, typer.Option(help="Free text.")] = None,
    architecture: Annotated[str | None, typer.Option(help="Such as ResNet50.")] = None,
    framework: Annotated[str | None, typer.Option(help="Such as pytorch.")] = None,
    model_config: Annotated[
        str | None, typer.Option(metavar="JSON", help='Such as {"depth": 2}.')
    ] = None,
    actor: Actor = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Change what is said about a version, never its bytes, parent or state."""
    said = {
        "description": description,
        "architecture": architecture,
        "framework": framework,
        "model_config": None if model_config is None else _mapping(model_config),
    }
    edits = {name: value for name, value in said.items() if value is not None}
    if not edits:
        raise typer.BadParameter("say what to change, such as --description")
    with opened_registry(registry, storage) as opened:
        made = opened.edit_metadata(reference, actor=actor, **edits)
        _tell(opened, made, f"is described anew: {', '.join(edits)}", output)


def _ranges(any_value: list[str] | None) -> dict[str, tuple[None, None]]:
    return {name: (None, None) for name in any_value or ()}


def _tell_errors(made: ModelVersion) -> None:
    for error in made.validation_errors:
        tell(f"Warning: it is kept as failed: {in_flags(error)}", color="yellow")


def _tell(
    opened: ModelRegistry, made: ModelVersion, what: str, output: OutputFormat
) -> None:
    if output is OutputFormat.JSON:
        print_json(opened, {"version": asdict(made)})
        return
    print_rich(Text(f"{made.reference} {what}"))


def _origin(made: ModelVersion) -> str:
    return f"(parent {made.parent_version or 'none'}, sha256 {made.checksum[:12]})"


def _pairs(texts: list[str] | None) -> list[tuple[str, str]]:
    pairs = []
    for text in texts or ():
        name, found, value = text.partition("=")
        if not found or not name:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
        pairs.append((name, value))
    return pairs


def _mapping(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no JSON") from error
    if not isinstance(said, dict):
        raise typer.BadParameter(f"{text!r} is no JSON object")
    return said


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no number") from error
