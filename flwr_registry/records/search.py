"""What a search finds."""

from __future__ import annotations

from dataclasses import dataclass

from flwr_registry.records.versions import ModelVersion

__all__ = ["Page"]


@dataclass(frozen=True, slots=True)
class Page:
    """A part of what a search found.

    Attributes
    ----------
    versions : tuple of ModelVersion
        In the order that was asked for.
    next_page_token : str or None
        Gives the following page of the same search; None on the last one.
    """

    versions: tuple[ModelVersion, ...]
    next_page_token: str | None = None
