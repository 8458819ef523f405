"""Commands that look after stored bytes: verify, gc, doctor."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import Progress
from rich.text import Text

from flwr_registry.cli.application import (
    Actor,
    Format,
    Mode,
    OutputFormat,
    RegistryPlace,
    StoragePlace,
    Yes,
    app,
    chosen_direction,
    confirmed,
    errors_reported,
    opened_registry,
    print_json,
    print_rich,
)
from flwr_registry.cli.rendering import add_row, table_of
from flwr_registry.errors import SchemaVersionError
from flwr_registry.records import (
    Collection,
    Finding,
    Severity,
    Verification,
    VerificationSummary,
)
from flwr_registry.registry import ModelRegistry
from flwr_registry.retention import (
    AnyOf,
    BestN,
    EveryNth,
    LatestN,
    RetentionPolicy,
    YoungerThan,
)

__all__ = ["doctor", "gc", "verify"]

_AGE = re.compile(r"([0-9]+)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SHOWN = 20


@app.command()
def verify(
    reference: Annotated[
        str | None, typer.Argument(metavar="REF", help="The version to verify.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Verify all versions.")] = False,
    model: Annotated[str | None, typer.Option(help="All of this model.")] = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Read stored bytes and compare them with their SHA-256."""
    if (reference is None) == (not every and model is None):
        raise typer.BadParameter("give a version, or --all, or --model")
    with opened_registry(registry, storage) as opened:
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
def gc(
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    keep_latest: Annotated[
        int | None, typer.Option(metavar="N", help="Keep the newest N versions.")
    ] = None,
    keep_best: Annotated[
        int | None, typer.Option(metavar="N", help="Keep the best N by --metric.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Which --keep-best is by.")] = None,
    mode: Mode = None,
    keep_every: Annotated[
        int | None, typer.Option(metavar="N", help="Keep each Nth round.")
    ] = None,
    keep_younger_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Keep the last 12h, 30d, 8w.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would go.")
    ] = False,
    yes: Yes = False,
    actor: Actor = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Remove bytes that crashes left, and those of versions that no --keep keeps.

    Rows and lineage stay. Production, former production, aliased and pinned versions,
    roots, resume points and the newest of each run keep their bytes in any case.
    """
    if (keep_best is None) != (metric is None):
        raise typer.BadParameter("--keep-best and --metric belong together")
    policies: list[RetentionPolicy] = []
    try:
        if keep_latest is not None:
            policies.append(LatestN(keep_latest))
        if keep_best is not None and metric is not None:
            direction = chosen_direction(metric, mode)
            policies.append(BestN(keep_best, metric, direction))
        if keep_every is not None:
            policies.append(EveryNth(keep_every))
        if keep_younger_than is not None:
            policies.append(YoungerThan(_age(keep_younger_than)))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    policy = AnyOf(*policies) if policies else None
    with opened_registry(registry, storage) as opened:
        planned = opened.gc(policy, model=model, dry_run=True)
        as_text = output is OutputFormat.DEFAULT
        if as_text:
            _tell_plan(planned)
        if dry_run or not _has_anything(planned):
            if not as_text:
                print_json(opened, {"collection": asdict(planned)})
            return
        confirmed("Remove them?", yes=yes)
        done = opened.gc(policy, model=model, actor=actor)
        if as_text:
            print_rich(f"{decimal(done.size_bytes)} came back")
        else:
            print_json(opened, {"collection": asdict(done)})


def _has_anything(planned: Collection) -> bool:
    return bool(planned.versions or planned.orphans or planned.stale_uploads)


def _tell_plan(planned: Collection) -> None:
    if not _has_anything(planned):
        print_rich("there is nothing to remove")
        return
    table = table_of("what", "#size", "where")
    gone = [*planned.versions, *planned.orphans]
    for each in gone[:_SHOWN]:
        name = each.reference or "no version has it"
        add_row(table, name, decimal(each.size_bytes), each.key)
    print_rich(table)
    if len(gone) > _SHOWN:
        print_rich(f"... and {len(gone) - _SHOWN} more")
    print_rich(
        f"versions that lose their bytes and keep their rows: {len(planned.versions)}; "
        f"files without a version: {len(planned.orphans)}; "
        f"stale uploads: {planned.stale_uploads}; "
        f"in all {decimal(planned.size_bytes)}"
    )


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no age: say 12h, 30d or 8w")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


@app.command()
def doctor(
    deep: Annotated[
        bool, typer.Option("--deep", help="Read all bytes and compare digests.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Write lost rows from checkpoints.")
    ] = False,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Find what is not as it should be, and say how to mend it."""
    with errors_reported():
        try:
            opened = ModelRegistry(registry, storage, create=rebuild)
        except SchemaVersionError as error:
            finding = Finding(
                Severity.ERROR, "database", str(error), "flwr-registry database upgrade"
            )
            _tell_findings([finding])
            raise typer.Exit(1) from error
        with opened:
            restored = opened.rebuild() if rebuild else []
            findings = opened.doctor(deep=deep)
            if output is OutputFormat.JSON:
                said = {"findings": [asdict(each) for each in findings]}
                print_json(opened, {**said, "restored": restored})
            else:
                if rebuild:
                    print_rich(f"{len(restored)} versions came back")
                _tell_findings(findings)
    if any(each.severity is Severity.ERROR for each in findings):
        raise typer.Exit(1)


def _tell_findings(findings: list[Finding]) -> None:
    for each in findings:
        style = "red" if each.severity is Severity.ERROR else "yellow"
        print_rich(Text(f"{each.severity}: {each.subject}: {each.problem}", style))
        print_rich(Text(f"  {each.remedy}"))
    if not findings:
        print_rich("all is well")
