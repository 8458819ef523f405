"""Commands that follow nodes through versions."""

from __future__ import annotations

from dataclasses import asdict
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
    Yes,
    app,
    confirmed,
    opened_registry,
    print_json,
    print_rich,
)
from flwr_registry.cli.rendering import add_row, number, status_of, table_of
from flwr_registry.errors import counted
from flwr_registry.records import Withdrawal

__all__ = ["affected", "contributors", "withdraw", "withdrawals"]

_NODE = typer.Argument(metavar="NODE", help="Node id, or its pseudonym.")


@app.command()
def contributors(
    reference: ReferenceText,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Show which nodes gave to a version and to all that it comes from."""
    with opened_registry(registry, storage) as opened:
        found = opened.contributors(reference)
        if output is OutputFormat.JSON:
            print_json(opened, {"contributors": [asdict(each) for each in found]})
            return
        table = table_of("node", "#rounds", "first", "last", "#examples", "#share")
        for each in found:
            add_row(
                table,
                each.node_id,
                str(each.rounds),
                each.first_version,
                each.last_version,
                number(each.num_examples),
                "" if each.share is None else f"{each.share:.1%}",
            )
        print_rich(table if found else "no node is recorded for this line of versions")


@app.command()
def affected(
    node: Annotated[str, _NODE],
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Show the versions that a node trained, and all that came of them."""
    with opened_registry(registry, storage) as opened:
        found = opened.affected_by(node)
        if output is OutputFormat.JSON:
            print_json(opened, {"affected": [asdict(each) for each in found]})
            return
        table = table_of("version", "status", "run", "#round")
        for each in found:
            cells = (each.run_name or "", number(each.server_round))
            add_row(table, each.reference, status_of(each), *cells)
        print_rich(table if found else "no version")


@app.command()
def withdraw(
    node: Annotated[str, _NODE],
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be done.")
    ] = False,
    actor: Actor = None,
    yes: Yes = False,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Mark all that a node had a part in: it can no longer be promoted or served.

    This is traceability, not unlearning: weights keep what they learned from the node.
    """
    with opened_registry(registry, storage) as opened:
        done = opened.withdraw(node, reason=reason, actor=actor, dry_run=True)
        if not dry_run:
            confirmed(_question(done), yes=yes)
            done = opened.withdraw(node, reason=reason, actor=actor)
        if output is OutputFormat.JSON:
            print_json(opened, {"withdrawal": asdict(done)})
        else:
            _tell(done, dry_run=dry_run)


@app.command()
def withdrawals(
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """List the nodes that were withdrawn."""
    with opened_registry(registry, storage) as opened:
        found = opened.withdrawals()
        if output is OutputFormat.JSON:
            print_json(opened, {"withdrawals": [asdict(each) for each in found]})
            return
        table = table_of("node", "when (UTC)", "actor", "reason")
        for each in found:
            when = f"{each.created_at:%Y-%m-%d %H:%M:%S}"
            add_row(table, each.node_id, when, each.actor, each.reason)
        print_rich(table if found else "no node was withdrawn")


def _question(planned: Withdrawal) -> str:
    had_part = f"it had a part in {counted(len(planned.affected), 'version')}"
    question = f"Withdraw node {planned.node.node_id}: {had_part}"
    if planned.demoted:
        question += f", and {', '.join(planned.demoted)} will leave production"
    return f"{question}. Do it?"


def _tell(done: Withdrawal, *, dry_run: bool) -> None:
    again = "would be withdrawn" if dry_run else "is withdrawn"
    again = "was withdrawn before" if done.repeated else again
    print_rich(
        Text(
            f"node {done.node.node_id} {again}: it had a part in "
            f"{counted(len(done.affected), 'version')}, {done.newly_marked} of them "
            "newly marked"
        )
    )
    if dry_run and done.affected:
        print_rich(Text(f"they are {', '.join(done.affected)}"))
    left = "would leave production" if dry_run else "left production"
    took = "would take" if dry_run else "took"
    for reference in done.demoted:
        print_rich(Text(f"{reference} {left}, and nothing {took} its place"))
    for point in done.retraining:
        where = f"from {point.start}" if point.start else "anew"
        print_rich(Text(f"in place of {point.head}: train {where}"))
    kept = "The weights themselves keep what they learned from the node."
    print_rich(Text("Nothing was changed." if dry_run else kept, "dim"))
