"""The catalogue of both APIs, ready as pytest parameters."""

import pytest

from federation.entries import Entry
from federation.legacy_catalogue import LEGACY_ENTRIES
from federation.message_catalogue import MESSAGE_ENTRIES
from federation.unusual_catalogue import UNUSUAL_ENTRIES

__all__ = ["CATALOGUE", "every_entry", "find"]

CATALOGUE: tuple[Entry, ...] = (
    *MESSAGE_ENTRIES,
    *LEGACY_ENTRIES,
    *UNUSUAL_ENTRIES,
)

every_entry = pytest.mark.parametrize("entry", CATALOGUE, ids=str)


def find(name: str) -> Entry:
    """Return the entry of a name such as ``"message-FedAvg"``."""
    return {str(entry): entry for entry in CATALOGUE}[name]
