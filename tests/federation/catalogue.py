"""The catalogue of both APIs, ready as pytest parameters."""

import pytest

from federation.entries import Entry
from federation.legacy_catalogue import LEGACY_ENTRIES
from federation.message_catalogue import MESSAGE_ENTRIES
from federation.unusual_catalogue import UNUSUAL_ENTRIES

__all__ = [
    "CATALOGUE",
    "KINDS",
    "every_entry",
    "every_entry_some_slow",
    "find",
    "one_entry_of_each_kind",
]

CATALOGUE: tuple[Entry, ...] = (
    *MESSAGE_ENTRIES,
    *LEGACY_ENTRIES,
    *UNUSUAL_ENTRIES,
)

KINDS = (
    "message-FedAvg",
    "message-FedAvg-sampling",
    "message-FedAdam",
    "message-FedXgbBagging",
    "message-DifferentialPrivacyServerSideFixedClipping-FedAdam",
    "message-DifferentialPrivacyServerSideAdaptiveClipping",
    "message-OwnLoop",
    "message-LazyMessages",
    "legacy-FedAvg",
    "legacy-FedAvg-sampling",
    "legacy-FedAvg-strict",
    "legacy-FaultTolerantFedAvg",
    "legacy-FedAdam",
    "legacy-FedXgbBagging",
    "legacy-DifferentialPrivacyServerSideFixedClipping",
    "legacy-Composition",
)
"""One entry of each kind of strategy: where all would say the same."""

every_entry = pytest.mark.parametrize("entry", CATALOGUE, ids=str)


def find(name: str) -> Entry:
    """Return the entry of a name such as ``"message-FedAvg"``."""
    return {str(entry): entry for entry in CATALOGUE}[name]


every_entry_some_slow = pytest.mark.parametrize(
    "entry",
    [
        pytest.param(
            entry, id=str(entry), marks=() if str(entry) in KINDS else pytest.mark.slow
        )
        for entry in CATALOGUE
    ],
)

one_entry_of_each_kind = pytest.mark.parametrize(
    "entry", [find(name) for name in KINDS], ids=str
)
