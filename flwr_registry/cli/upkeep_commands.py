"""Commands that look after stored bytes: verify, doctor."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from flwr_registry.cli.application import (
    Actor,
    Format,
    OutputFormat,
    RegistryPlace,
    StoragePlace,
    app,
    errors_reported,
    opened_registry,
    print_json,
    print_lines,
    print_rich,
)
from flwr_registry.cli.lost_database import tell_after
from flwr_registry.cli.terminal import json_text
from flwr_registry.errors import DatabaseNotFoundError, SchemaVersionError, counted
from flwr_registry.records import (
    Finding,
    Severity,
    Verification,
    VerificationSummary,
)
from flwr_registry.registry import ModelRegistry, Places, resolve_places

__all__ = ["doctor", "sign", "verify"]

_NEXT = (
    "there is no version yet: wrap the strategy of an app in RegistryStrategy and run "
    "it, or register a file: flwr-registry register FILE --model NAME"
)


@app.command()
def verify(
    reference: Annotated[
        str | None, typer.Argument(metavar="REF", help="The version to verify.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Verify all versions.")] = False,
    model: Annotated[str | None, typer.Option(help="All of this model.")] = None,
    signature: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What 'sign' wrote: compare with it."),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of the key that signed, in PEM."),
    ] = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Read stored bytes and compare them with their SHA-256."""
    if (reference is None) == (not every and model is None):
        raise typer.BadParameter("give a version, or --all, or --model")
    if (signature is None) != (public_key is None) or (signature and not reference):
        raise typer.BadParameter("a signature takes REF, --signature and --public-key")
    with opened_registry(registry, storage) as opened:
        if reference and signature and public_key:
            version = opened.verify_signature(reference, signature, public_key)
            if output is OutputFormat.JSON:
                print_json(opened, {"signed": version.reference})
            else:
                print_rich(Text(f"{version.reference} is what was signed"))
            return
        if reference is not None:
            _tell_one(opened, opened.verify(reference), output)
            return
        console = Console(stderr=True)
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("verifying", total=None)
            summary = opened.verify_all(
                model,
                progress=lambda done, total: progress.update(
                    task, completed=done, total=total
                ),
            )
        _tell_all(opened, summary, output)


def _tell_one(opened: ModelRegistry, found: Verification, output: OutputFormat) -> None:
    if output is OutputFormat.JSON:
        print_json(opened, {"verification": asdict(found)})
    else:
        said = f": {found.problem}" if found.problem else f" ({found.place})"
        style = "red" if found.problem else ""
        print_rich(Text(f"{found.reference} is {found.state}{said}", style))
    if found.problem:
        raise typer.Exit(1)


def _tell_all(
    opened: ModelRegistry, summary: VerificationSummary, output: OutputFormat
) -> None:
    if output is OutputFormat.JSON:
        print_json(opened, {"verification": asdict(summary)})
    else:
        for each in summary.problems:
            print_rich(Text(f"{each.reference} is {each.state}: {each.problem}", "red"))
        bad = len(summary.problems)
        print_rich(f"verified: {summary.checked}; damaged: {bad or 'none'}")
    if summary.problems:
        raise typer.Exit(1)


@app.command()
def sign(
    reference: Annotated[str, typer.Argument(metavar="REF", help="The version.")],
    key: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Private key in PEM, of an elliptic curve."),
    ],
    signature: Annotated[
        Path, typer.Option(metavar="FILE", help="Where to write the signature.")
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is there.")
    ] = False,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
) -> None:
    """Sign a version by OpenSSF model-signing; 'verify --signature' compares."""
    with opened_registry(registry, storage) as opened:
        version = opened.sign(reference, key, signature, overwrite=overwrite)
        print_rich(Text(f"{version.reference} is signed in {signature}"))


@app.command()
def doctor(
    deep: Annotated[
        bool, typer.Option("--deep", help="Read all bytes and compare digests.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Write lost rows from checkpoints.")
    ] = False,
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt",
            help="Do so, then take the storage over from another registry.",
        ),
    ] = False,
    actor: Actor = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Find what is not as it should be, and say how to mend it."""
    rebuild = rebuild or adopt
    with errors_reported(lambda error: tell_after(error, registry, storage)):
        try:
            opened = ModelRegistry(registry, storage, create=rebuild)
        except SchemaVersionError as error:
            _tell_other_schema(error, resolve_places(registry, storage), output)
            raise typer.Exit(1) from error
        except DatabaseNotFoundError:
            if output is OutputFormat.DEFAULT:
                print_rich(_NEXT)
            raise
        with opened:
            restored, adopted = _restored(opened, actor, rebuild, adopt)
            findings = opened.doctor(deep=deep)
            if output is OutputFormat.JSON:
                said = {"findings": [asdict(each) for each in findings]}
                print_json(opened, {**said, "restored": restored})
            else:
                if rebuild:
                    print_rich(f"{counted(len(restored), 'version')} came back")
                if adopt:
                    now = f"the storage of {opened.url} now"
                    whose = now if adopted else "this registry's already"
                    print_rich(Text(f"{opened.storage.url} is {whose}"))
                _tell_findings(findings)
                if not opened.list(limit=1):
                    print_rich(_NEXT)
    if any(each.severity is Severity.ERROR for each in findings):
        raise typer.Exit(1)


def _tell_other_schema(
    error: SchemaVersionError, places: Places, output: OutputFormat
) -> None:
    database = places.shown_database_url
    upgrade = f"flwr-registry database upgrade --registry {database}"
    other = "name another database, with --registry, or upgrade flwr-registry"
    remedy = upgrade if upgrade in str(error) else other
    finding = Finding(Severity.ERROR, "database", str(error), remedy)
    if output is OutputFormat.JSON:
        said = {"findings": [asdict(finding)], "restored": []}
        where = {"registry": database, "storage": places.storage_url}
        print_lines(json_text({**where, **said}, indent=2))
    else:
        _tell_findings([finding])


def _restored(
    opened: ModelRegistry, actor: str | None, rebuild: bool, adopt: bool
) -> tuple[list[str], bool]:
    """Return what came back, and whether the storage was taken over."""
    if not adopt:
        return opened.rebuild() if rebuild else [], False
    before = opened.audit(action="adopt", limit=1)
    restored = opened.adopt(actor=actor)
    return restored, opened.audit(action="adopt", limit=1) != before


def _tell_findings(findings: list[Finding]) -> None:
    for each in findings:
        style = "red" if each.severity is Severity.ERROR else "yellow"
        print_rich(Text(f"{each.severity}: {each.subject}: {each.problem}", style))
        print_rich(Text(f"  {each.remedy}"))
    if not findings:
        print_rich("all is well")
