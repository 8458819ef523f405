"""The lines that trouble with storage or database leaves in Flower's own log."""

from __future__ import annotations

from collections.abc import Sequence

from flwr_registry.strategy.tolerance import LOGGER

__all__ = [
    "log_again",
    "log_back",
    "log_down",
    "log_saved_by_trying",
    "shown_round",
    "shown_rounds",
]


def log_again(action: str, error: Exception) -> None:
    """Log that work on storage or database failed, and is tried again."""
    LOGGER.info("registry: could not %s yet, trying again: %s", action, str(error))


def log_saved_by_trying(action: str, tries: int, first: str) -> None:
    """Log that work succeeded that had failed at first."""
    LOGGER.info(
        "registry: could %s at try %d; what went wrong at first: %s",
        action,
        tries,
        first,
    )


def log_down(place: str, server_round: int, trouble: str) -> None:
    """Log that a place does not answer, and what follows."""
    LOGGER.warning(
        "registry: the %s is down since %s: %s. From now on it is only asked shortly "
        "whether it is back; training is held up by at most a second a round.",
        place,
        shown_round(server_round),
        trouble,
    )


def log_back(
    place: str, since: int | None, server_round: int, missing: Sequence[int]
) -> None:
    """Log that a place answers again, and what is missing."""
    LOGGER.warning(
        "registry: the %s is back in %s; it was down since %s%s",
        place,
        shown_round(server_round),
        shown_round(since),
        f". Not registered: {shown_rounds(missing)}" if missing else "",
    )


def shown_round(server_round: int | None) -> str:
    """Name a round; 0 is the time before the first."""
    return f"round {server_round}" if server_round else "the start"


def shown_rounds(rounds: Sequence[int]) -> str:
    """Name rounds, those that follow one another as one stretch."""
    stretches: list[list[int]] = []
    for each in sorted(set(rounds)):
        if stretches and each == stretches[-1][1] + 1:
            stretches[-1][1] = each
        else:
            stretches.append([each, each])
    shown = [
        str(first) if first == last else f"{first} to {last}"
        for first, last in stretches
    ]
    return f"round{'' if shown == [str(rounds[0])] else 's'} {', '.join(shown)}"
