"""Who changes the registry."""

from __future__ import annotations

import getpass

from flwr_registry.registry.rows.json_values import plain_text

__all__ = ["current_actor"]


def current_actor(actor: str | None = None) -> str:
    """Return `actor`, else the name of the operating system's user."""
    if actor:
        return plain_text(actor)
    try:
        return plain_text(getpass.getuser())
    except (OSError, KeyError):
        # A container's user may have a number and no name.
        return "unknown"
