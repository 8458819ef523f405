"""Commands that give bytes up: gc, delete-unknown."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer
from rich.filesize import decimal
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
    opened_registry,
    print_json,
    print_rich,
)
from flwr_registry.cli.rendering import add_row, table_of
from flwr_registry.records import (
    Collection,
    ExplainedVersion,
    Fate,
    UnknownDeletion,
)
from flwr_registry.retention import (
    AnyOf,
    BestN,
    EveryNth,
    LatestN,
    RetentionPolicy,
    YoungerThan,
)

__all__ = ["delete_unknown", "gc"]

_AGE = re.compile(r"([0-9]{1,9})\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_CENTURY_SECONDS = 100 * 365 * 86400
_SHOWN = 20
_STYLES = {Fate.STAYS: "", Fate.GOES: "yellow", Fate.GONE: "dim"}


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
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Only say of each version why it stays or goes."
        ),
    ] = False,
    yes: Yes = False,
    actor: Actor = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Remove bytes that crashes left, and those of versions that no option keeps.

    Rows and lineage stay. Production, former production, aliased and pinned versions,
    roots, resume points and the newest of each run keep their bytes in any case. Files
    that this database did not write are never removed, see delete-unknown.
    """
    policy = _policy_of(
        keep_latest, keep_best, metric, mode, keep_every, keep_younger_than
    )
    with opened_registry(registry, storage) as opened:
        if explain:
            versions = opened.explain_gc(policy, model=model)
            if output is OutputFormat.JSON:
                print_json(opened, {"versions": [asdict(each) for each in versions]})
            else:
                _tell_why(versions)
            return
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


def _policy_of(
    keep_latest: int | None,
    keep_best: int | None,
    metric: str | None,
    mode: Mode,
    keep_every: int | None,
    keep_younger_than: str | None,
) -> RetentionPolicy | None:
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
    return AnyOf(*policies) if policies else None


def _tell_why(versions: list[ExplainedVersion]) -> None:
    if not versions:
        print_rich("there are no versions")
        return
    table = table_of("version", "bytes", "#size", "why")
    for each in versions:
        fate = Text(each.fate, _STYLES[each.fate])
        add_row(
            table,
            each.reference,
            fate,
            decimal(each.size_bytes),
            "; ".join(each.reasons),
        )
    print_rich(table)
    counts = {fate: sum(each.fate is fate for each in versions) for fate in Fate}
    print_rich(
        f"bytes that stay: {counts[Fate.STAYS]}; that go: {counts[Fate.GOES]}; "
        f"that are gone: {counts[Fate.GONE]}"
    )


def _has_anything(planned: Collection) -> bool:
    return bool(planned.versions or planned.orphans or planned.stale_uploads)


def _tell_plan(planned: Collection) -> None:
    if planned.withheld:
        print_rich(Text(f"nothing is removed: {planned.withheld}", "yellow"))
        return
    if planned.out_of_reach:
        print_rich(
            Text(
                f"checkpoint {planned.out_of_reach[0]} cannot be read, and nobody can "
                "tell what it needs: until it can, or its folder is removed, no "
                "version loses its bytes",
                "yellow",
            )
        )
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


@app.command("delete-unknown")
def delete_unknown(
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="Leave what is younger: 12h, 7d, 8w.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would go.")
    ] = False,
    yes: Yes = False,
    actor: Actor = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Delete stored files that this database did not write.

    They may be another registry's, or all that is left of a database that was lost.
    What a checkpoint names stays, of whatever run, and so do links and foreign names.
    """
    try:
        age = _age(older_than)
        if age <= timedelta(0):
            raise ValueError("an age is above zero")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with opened_registry(registry, storage) as opened:
        planned = opened.delete_unknown(older_than=age, dry_run=True)
        as_text = output is OutputFormat.DEFAULT
        if as_text:
            _tell_unknown(planned)
        if dry_run or not planned.files:
            if not as_text:
                print_json(opened, {"deletion": asdict(planned)})
            return
        confirmed("Delete them for ever?", yes=yes)
        done = opened.delete_unknown(older_than=age, actor=actor)
        if as_text:
            print_rich(
                f"deleted: {len(done.files)}; {decimal(done.size_bytes)} came back"
            )
        else:
            print_json(opened, {"deletion": asdict(done)})


def _tell_unknown(planned: UnknownDeletion) -> None:
    if planned.files:
        table = table_of("unknown file", "#size", "written (UTC)")
        for each in planned.files[:_SHOWN]:
            written = f"{each.written_at:%Y-%m-%d %H:%M}" if each.written_at else ""
            add_row(table, each.key, decimal(each.size_bytes), written)
        print_rich(table)
        if len(planned.files) > _SHOWN:
            print_rich(f"... and {len(planned.files) - _SHOWN} more")
    else:
        print_rich("there is nothing to delete")
    left = {
        "a checkpoint names them": planned.named,
        "too young": planned.young,
        "links and foreign names": planned.foreign,
    }
    told = [f"{why}: {len(keys)}" for why, keys in left.items() if keys]
    if told:
        print_rich(f"left alone ({'; '.join(told)})")


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no age: say 12h, 30d or 8w")
    seconds = int(found[1]) * _SECONDS[found[2]]
    if seconds > _CENTURY_SECONDS:
        raise ValueError(f"{text!r} is longer ago than anything here can be")
    return timedelta(seconds=seconds)
