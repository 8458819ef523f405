"""Nodes over whole lines of versions, and their withdrawal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["Contributor", "RetrainingPoint", "Withdrawal", "WithdrawnNode"]


@dataclass(frozen=True, slots=True)
class Contributor:
    """One node's part in a version and in everything that it comes from.

    Attributes
    ----------
    node_id : str
        As it is recorded: a pseudonym where the registry has a node key.
    rounds : int
        Rounds of the line to which it gave; each made one version.
    first_version, last_version : str
        The oldest and the newest version of the line that it trained.
    num_examples : float
        Sum over the rounds, as far as the node told.
    share : float or None
        `num_examples` over the sum of all nodes; None when no node told any.
    """

    node_id: str
    rounds: int
    first_version: str
    last_version: str
    num_examples: float
    share: float | None


@dataclass(frozen=True, slots=True)
class WithdrawnNode:
    """A node that was withdrawn: by whom, why and when first."""

    node_id: str
    actor: str
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RetrainingPoint:
    """Where to go on in place of an affected branch.

    Attributes
    ----------
    head : str
        Reference of the last version of the branch.
    start : str or None
        The newest version that it comes from which is not withdrawn, did not fail, and
        has its bytes; None when there is none, and training begins anew.
    """

    head: str
    start: str | None


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What the withdrawal of a node did: traceability, not unlearning.

    Weights keep what they learned from the node. Versions that it had a part in are
    marked and can no longer be promoted; a model without it must be trained anew.

    Attributes
    ----------
    node : WithdrawnNode
        Who is withdrawn.
    repeated : bool
        It was withdrawn before; only what is new was marked.
    affected : tuple of str
        References of all versions that it trained and of their descendants, oldest
        first.
    newly_marked : int
        How many versions were not withdrawn before.
    demoted : tuple of str
        References of those that were in production; nothing took their place.
    retraining : tuple of RetrainingPoint
        One for each affected version without descendants.
    """

    node: WithdrawnNode
    repeated: bool
    affected: tuple[str, ...]
    newly_marked: int
    demoted: tuple[str, ...]
    retraining: tuple[RetrainingPoint, ...]
