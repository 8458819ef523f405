"""Commands that read and check the audit log."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
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
    print_lines,
    print_rich,
    tell,
)
from flwr_registry.cli.rendering import add_row, table_of

__all__ = ["audit_app"]

audit_app = typer.Typer(no_args_is_help=True, help="Read and check the audit log.")
app.add_typer(audit_app, name="audit")


@audit_app.command("list")
def list_entries(
    model: Annotated[str | None, typer.Argument(help="Only this model.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this verb.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """List changes, newest first."""
    with opened_registry(registry, storage) as opened:
        entries = opened.audit(model, action=action, limit=limit)
        if output is OutputFormat.JSON:
            print_json(opened, {"entries": [asdict(each) for each in entries]})
            return
        table = table_of("#id", "when (UTC)", "actor", "action", "what", "reason")
        for each in entries:
            what = f"{each.model}:{each.version}" if each.version else each.model
            when = f"{each.timestamp:%Y-%m-%d %H:%M:%S}"
            said = (when, each.actor, each.action, what, each.reason)
            add_row(table, str(each.id), *said)
        print_rich(table if entries else "no entry")


@audit_app.command()
def verify(
    expect_hash: Annotated[
        str | None,
        typer.Option(metavar="HASH", help="Of an entry that must still be there."),
    ] = None,
    heads: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Signed heads that must still be there."),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of the key that signed them, in PEM."),
    ] = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Find entries that were edited, removed, added or put elsewhere."""
    if (heads is None) != (public_key is None):
        raise typer.BadParameter("give both --heads and --public-key, or neither")
    with opened_registry(registry, storage) as opened:
        check = opened.verify_audit(
            expect_hash=expect_hash, heads=heads, public_key=public_key
        )
        if output is OutputFormat.JSON:
            print_json(opened, {"check": asdict(check)})
        else:
            for problem in check.problems:
                print_rich(Text(problem, "red"))
            sound = "is not sound" if check.problems else "is sound"
            print_rich(Text(f"the audit log of {check.entries} entries {sound}"))
            print_rich(Text(f"newest hash, to keep elsewhere: {check.newest_hash}"))
        if check.problems:
            raise typer.Exit(1)


@audit_app.command("sign-head")
def sign_head(
    key: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Private key in PEM: Ed25519 or ECDSA."),
    ],
    heads: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Add it to this file; by default stdout."),
    ] = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
) -> None:
    """Sign how long the log is and its newest hash, to be kept elsewhere.

    'audit verify --heads FILE --public-key FILE' then sees entries that are cut off.
    """
    with opened_registry(registry, storage) as opened:
        head = opened.sign_audit_head(key, heads=heads)
        if heads is None:
            print_lines(head.line())
        else:
            tell(f"signed {head.entries} entries, kept in {heads}")


@audit_app.command()
def export(
    path: Annotated[
        Path | None, typer.Argument(help="File to write; by default stdout.")
    ] = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
) -> None:
    """Write all entries as lines of JSON, oldest first."""
    with opened_registry(registry, storage) as opened:
        if path is None:
            opened.export_audit(sys.stdout)
            return
        written = opened.export_audit(path)
        tell(f"{written} entries in {path}")
