"""Commands that govern versions: promote, rollback, history, alias, tag, pin."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from flwr_registry.cli.application import (
    Actor,
    Format,
    Mode,
    OutputFormat,
    ReferenceText,
    RegistryPlace,
    StoragePlace,
    app,
    chosen_direction,
    opened_registry,
    print_json,
    print_rich,
)
from flwr_registry.errors import ModelNotFoundError
from flwr_registry.records import ModelVersion, Promotion
from flwr_registry.registry import (
    BetterThanProduction,
    FewestContributors,
    MetricAtLeast,
    MetricAtMost,
    ModelRegistry,
    PrivacyBudgetAtMost,
    PromotionGate,
)

__all__ = ["alias_app"]

Reason = Annotated[str, typer.Option("--reason", help="Why, for the history.")]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")]
Measures = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="Gate; may be repeated.")
]

alias_app = typer.Typer(no_args_is_help=True, help="Name versions by aliases.")
app.add_typer(alias_app, name="alias")


@app.command()
def promote(
    reference: ReferenceText,
    expect: Annotated[
        str | None,
        typer.Option(help="Only if this version, or none, is in production now."),
    ] = None,
    metric_at_least: Measures = None,
    metric_at_most: Measures = None,
    better_than_production: Annotated[
        str | None, typer.Option(metavar="METRIC", help="Gate: this must be better.")
    ] = None,
    margin: Annotated[float, typer.Option(help="Better by at least so much.")] = 0.0,
    mode: Mode = None,
    fewest_contributors: Annotated[
        int | None, typer.Option(help="Gate: at least so many nodes contributed.")
    ] = None,
    epsilon_at_most: Annotated[
        float | None, typer.Option(help="Gate: privacy budget spent.")
    ] = None,
    skip_gates: Annotated[
        bool,
        typer.Option(
            "--skip-gates", help="Whatever the gates say; the audit log tells it."
        ),
    ] = False,
    allow_archived: Annotated[
        bool,
        typer.Option(
            "--allow-archived",
            help="Also one that was put aside, replaced or rolled back from.",
        ),
    ] = False,
    reason: Reason = "",
    actor: Actor = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Put a version into production; the former one is archived."""
    gates: list[PromotionGate] = [
        *(MetricAtLeast(*_measure(each)) for each in metric_at_least or ()),
        *(MetricAtMost(*_measure(each)) for each in metric_at_most or ()),
    ]
    if better_than_production is not None:
        direction = chosen_direction(better_than_production, mode)
        if not 0 <= margin < math.inf:
            raise typer.BadParameter("use a number from 0 on", param_hint="--margin")
        gates.append(BetterThanProduction(better_than_production, margin, direction))
    if fewest_contributors is not None:
        gates.append(FewestContributors(fewest_contributors))
    if epsilon_at_most is not None:
        gates.append(PrivacyBudgetAtMost(epsilon_at_most))
    with opened_registry(registry, storage) as opened:
        version = opened.promote(
            reference,
            expect=expect,
            gates=gates,
            skip_gates=skip_gates,
            allow_archived=allow_archived,
            reason=reason,
            actor=actor,
        )
        _tell(opened, version, output, "is in production")


@app.command()
def rollback(
    model: ModelName,
    to: Annotated[
        str | None, typer.Option(metavar="REF", help="A former production version.")
    ] = None,
    reason: Reason = "",
    actor: Actor = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Go back to the version that was in production before."""
    with opened_registry(registry, storage) as opened:
        version = opened.rollback(model, to=to, reason=reason, actor=actor)
        _tell(opened, version, output, "is in production again")


@app.command()
def history(
    model: ModelName,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Show who was in production when, by whom, and why."""
    with opened_registry(registry, storage) as opened:
        changes = opened.history(model)
        if output is OutputFormat.JSON:
            print_json(opened, {"history": [asdict(each) for each in changes]})
        elif changes:
            print_rich(_history_table(changes))
        else:
            print_rich(f"no version of {model} was ever in production")


@app.command()
def tag(
    reference: ReferenceText,
    tags: Annotated[
        list[str],
        typer.Argument(metavar="KEY=VALUE...", help="KEY=VALUE sets, KEY- removes."),
    ],
    actor: Actor = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Set or remove tags of a version."""
    wanted: dict[str, str | None] = {}
    for each in tags:
        key, equals, value = each.partition("=")
        if not equals and not key.endswith("-"):
            raise typer.BadParameter(f"{each!r}: use KEY=VALUE, or KEY- to remove")
        wanted[key if equals else key[:-1]] = value if equals else None
    with opened_registry(registry, storage) as opened:
        version = opened.set_tags(reference, wanted, actor=actor)
        shown = ", ".join(f"{k}={v}" for k, v in version.metadata.tags.items())
        _tell(opened, version, output, f"is tagged {shown}" if shown else "has no tag")


@app.command()
def pin(
    reference: ReferenceText,
    unpin: Annotated[bool, typer.Option("--off", help="Unpin it.")] = False,
    actor: Actor = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Keep the bytes of a version whatever a retention policy says."""
    with opened_registry(registry, storage) as opened:
        change = opened.unpin if unpin else opened.pin
        version = change(reference, actor=actor)
        _tell(opened, version, output, "is not pinned" if unpin else "is pinned")


@app.command()
def archive(
    reference: ReferenceText,
    reason: Reason = "",
    actor: Actor = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Put a version aside, so that it is not promoted by mistake."""
    with opened_registry(registry, storage) as opened:
        version = opened.archive(reference, reason=reason, actor=actor)
        _tell(opened, version, output, "is archived")


@alias_app.command("set")
def set_alias(
    model: ModelName,
    alias: Annotated[str, typer.Argument(help="The alias.")],
    reference: Annotated[str, typer.Argument(metavar="REF", help="1.4.0 is enough.")],
    actor: Actor = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Let an alias name a version, whatever it named before."""
    with opened_registry(registry, storage) as opened:
        version = opened.set_alias(model, alias, reference, actor=actor)
        _tell(opened, version, output, f"is {model}@{alias}")


@alias_app.command("best")
def name_best(
    model: ModelName,
    metric: Annotated[str, typer.Option(metavar="NAME", help="By which metric.")],
    mode: Mode = None,
    actor: Actor = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Let the alias best name the best version that may be used."""
    direction = chosen_direction(metric, mode)
    with opened_registry(registry, storage) as opened:
        best = opened.name_best(model, metric, mode=direction, actor=actor)
        if best is None:
            raise ModelNotFoundError(
                f"no version of {model} that may be used has the metric {metric}: "
                f"'flwr-registry show {model}' tells what was measured",
                reference=f"{model}@best",
            )
        _tell(opened, best, output, f"is {model}@best")


@alias_app.command("delete")
def delete_alias(
    model: ModelName,
    alias: Annotated[str, typer.Argument(help="The alias.")],
    actor: Actor = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
) -> None:
    """Forget an alias."""
    with opened_registry(registry, storage) as opened:
        opened.delete_alias(model, alias, actor=actor)


@alias_app.command("list")
def list_aliases(
    model: ModelName,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """List the aliases of a model."""
    with opened_registry(registry, storage) as opened:
        aliases = opened.aliases(model)
        if output is OutputFormat.JSON:
            print_json(opened, {"aliases": aliases})
            return
        for alias, version in aliases.items():
            print_rich(f"{model}@{alias}  {version}")
        if not aliases:
            print_rich(f"{model} has no alias")


def _measure(text: str) -> tuple[str, float]:
    name, equals, value = text.rpartition("=")
    try:
        return name if equals else "", float(value)
    except ValueError:
        raise typer.BadParameter(f"{text!r}: use NAME=VALUE") from None


def _tell(
    opened: ModelRegistry, version: ModelVersion, output: OutputFormat, what: str
) -> None:
    if output is OutputFormat.JSON:
        print_json(opened, {"version": asdict(version)})
    else:
        print_rich(f"{version.reference} {what}")


def _history_table(changes: list[Promotion]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("#", "action", "from", "to", "when (UTC)", "actor", "reason"):
        table.add_column(column)
    for change in changes:
        cells = (
            str(change.sequence),
            change.action,
            change.from_version or "none",
            change.to_version or "none",
            f"{change.created_at:%Y-%m-%d %H:%M:%S}",
            change.actor,
            change.reason,
        )
        table.add_row(*(Text(cell, "dim" if change.reverted else "") for cell in cells))
    return table
