"""Versions whose bytes retention gave up."""

from __future__ import annotations

from flwr_registry.errors import InvalidStateError
from flwr_registry.records import ModelVersion

__all__ = ["refuse_removed_bytes"]


def refuse_removed_bytes(version: ModelVersion) -> ModelVersion:
    """Return a version that has its bytes.

    Raises
    ------
    InvalidStateError
        Saying when they were removed.
    """
    if version.bytes_removed_at is not None:
        raise InvalidStateError(
            f"the bytes of {version.reference} were removed by retention on "
            f"{version.bytes_removed_at:%Y-%m-%d %H:%M} UTC; its row and lineage "
            "stayed. Import them from a bundle, take another version, or register the "
            "weights under a new one"
        )
    return version
