"""The command that says where the registry lies."""

from __future__ import annotations

from dataclasses import asdict

from rich.text import Text

from flwr_registry.cli.application import (
    Format,
    OutputFormat,
    RegistryPlace,
    StoragePlace,
    app,
    errors_reported,
    print_json,
    print_lines,
    print_rich,
)
from flwr_registry.cli.lost_database import tell_after, tell_unknown
from flwr_registry.cli.messages import in_flags
from flwr_registry.cli.rendering import key_values
from flwr_registry.cli.terminal import json_text
from flwr_registry.errors import DatabaseNotFoundError, RegistryError, counted
from flwr_registry.records import Whereabouts
from flwr_registry.registry import ModelRegistry, Places, resolve_places

__all__ = ["where"]

_SHOWN = 5
_ORIGINS = {
    ("argument", "database"): "--registry",
    ("argument", "storage"): "--storage",
}


@app.command()
def where(
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Say which database and storage are used, why, and what lies there.

    An app's run configuration (registry-url, registry-storage) goes before the
    environment there; its log names the places that it writes to.
    """
    with errors_reported(lambda error: tell_after(error, registry, storage)):
        places = resolve_places(registry, storage)
        try:
            with ModelRegistry(registry, storage, create=False) as opened:
                _tell_found(opened, opened.where(), output)
        except DatabaseNotFoundError as error:
            nothing = "nothing: it is made by the first run or registration"
            _tell_places(places, str(error), nothing, output)
            tell_after(error, registry, storage)
        except (RegistryError, ImportError) as error:
            _tell_places(places, in_flags(str(error)), "", output)
            raise


def _tell_found(
    opened: ModelRegistry, found: Whereabouts, output: OutputFormat
) -> None:
    if output is OutputFormat.JSON:
        print_json(opened, {"where": asdict(found)})
    else:
        print_rich(key_values(_facts(found)))
    tell_unknown(opened)


def _tell_places(
    places: Places, problem: str, holds: str, output: OutputFormat
) -> None:
    """Say which places would be used, where no database can be asked."""
    if output is OutputFormat.JSON:
        said = {
            "database": places.shown_database_url,
            "database_origin": str(places.database_origin),
            "storage": places.storage_url,
            "storage_origin": str(places.storage_origin),
        }
        print_lines(json_text({"where": said, "problem": problem}, indent=2))
        return
    facts: dict[str, str | Text] = {
        "database": places.shown_database_url,
        "database by": _why(str(places.database_origin), "database"),
        "database holds": holds,
        "storage": places.storage_url,
        "storage by": _why(str(places.storage_origin), "storage"),
    }
    print_rich(key_values({name: fact for name, fact in facts.items() if fact}))


def _why(origin: str, kind: str) -> str:
    return _ORIGINS.get((origin, kind), origin)


def _facts(found: Whereabouts) -> dict[str, str | Text]:
    models = ", ".join(found.models[:_SHOWN])
    more = ", ..." if len(found.models) > _SHOWN else ""
    of = f" of {models}{more}" if models else ""
    rows = f"{counted(found.num_versions, 'version')}{of}"
    return {
        "database": found.database,
        "database by": _why(found.database_origin, "database"),
        "database holds": f"{rows}, {counted(found.num_runs, 'run')}",
        "storage": found.storage,
        "storage by": _why(found.storage_origin, "storage"),
        "storage holds": _stored(found),
        "storage of": _whose(found),
    }


def _stored(found: Whereabouts) -> str | Text:
    if found.storage_problem:
        return Text(found.storage_problem, "red")
    runs = ", ".join(found.stored_runs[:_SHOWN])
    more = ", ..." if len(found.stored_runs) > _SHOWN else ""
    files = f"files of {counted(found.stored_versions, 'version')}"
    return f"{files}, checkpoints of {runs}{more}" if runs else files


def _whose(found: Whereabouts) -> str | Text:
    if found.owner is None:
        unknown = "unknown" if found.storage_problem else "nobody's yet"
        return f"{unknown}; this registry is {found.registry_id or 'without one'}"
    if found.is_own:
        return f"this registry's, {found.registry_id}"
    return Text(
        f"another registry's, {found.owner.registry_id}, of the database "
        f"{found.owner.database} on {found.owner.host}",
        "yellow",
    )
