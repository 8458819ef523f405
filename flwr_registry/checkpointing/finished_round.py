"""A round that is done, as a manifest keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flwr_registry.checkpointing.stored_objects import stored_object
from flwr_registry.records import (
    Contribution,
    ContributionStatus,
    RoundStatus,
    StoredObject,
)
from flwr_registry.records.typed_values import MAX_NUMBER, counted_from, of_type

__all__ = ["FinishedRound"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRound:
    """What a round gave: enough to hand it back again, and to register it again.

    Attributes
    ----------
    gave_model : bool
        Flower got a model from the strategy.
    status : RoundStatus
        What became of the aggregate.
    version, parent : str or None
        Number of the version that the round made, and of its parent.
    weights : StoredObject or None
        Where the version's bytes lie.
    fingerprint : str
        Of the version's architecture.
    errors : tuple of str
        Why the model failed validation.
    contributions : tuple of Contribution
        Of each node, without its own metrics.
    privacy : tuple of float or None
        Epsilon and delta spent so far.
    """

    gave_model: bool
    status: RoundStatus
    version: str | None = None
    parent: str | None = None
    weights: StoredObject | None = None
    fingerprint: str = ""
    errors: tuple[str, ...] = ()
    contributions: tuple[Contribution, ...] = ()
    privacy: tuple[float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold, without what is empty."""
        said = {
            "gave_model": self.gave_model,
            "status": self.status.value,
            "version": self.version,
            "parent": self.parent,
            "weights": asdict(self.weights) if self.weights else None,
            "fingerprint": self.fingerprint,
            "errors": list(self.errors),
            "nodes": [_node(given) for given in self.contributions],
            "privacy": list(self.privacy) if self.privacy else None,
        }
        return {name: value for name, value in said.items() if value or value is False}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> FinishedRound:
        """Read what `to_json` gave.

        Raises
        ------
        LookupError, TypeError, ValueError
            For anything else.
        """
        weights, privacy = said.get("weights"), said.get("privacy")
        return cls(
            gave_model=bool(said["gave_model"]),
            status=RoundStatus(said["status"]),
            version=of_type(str | None, said.get("version")),
            parent=of_type(str | None, said.get("parent")),
            weights=stored_object(weights) if weights else None,
            fingerprint=of_type(str, said.get("fingerprint", "")),
            errors=tuple(
                of_type(str, error) for error in of_type(list, said.get("errors", []))
            ),
            contributions=tuple(
                map(_contribution, of_type(list, said.get("nodes", [])))
            ),
            privacy=(float(privacy[0]), float(privacy[1])) if privacy else None,
        )


def _node(given: Contribution) -> list[Any]:
    node = [given.node_id, given.status.value, given.num_examples, given.weight_share]
    if given.status is ContributionStatus.ERROR:
        node += [given.error_code, given.error_reason]
    return node


def _contribution(node: list[Any]) -> Contribution:
    node_id, status, num_examples, weight_share, *error = of_type(list, node)
    code, reason = error or (None, "")
    return Contribution(
        of_type(str, node_id),
        status=ContributionStatus(status),
        num_examples=of_type(float | int | None, num_examples),
        weight_share=of_type(float | int | None, weight_share),
        error_code=None if code is None else counted_from(-MAX_NUMBER, code),
        error_reason=of_type(str, reason),
    )
