"""The names under which nodes are recorded: their ids, or pseudonyms."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from flwr_registry.records import Contribution, RoundFacts

__all__ = ["NODE_KEY_VARIABLE", "NodeNames"]

NODE_KEY_VARIABLE = "FLWR_REGISTRY_NODE_KEY"
_MARK = "hmac-"
_DIGITS = 32
# A shorter id in a text may as well be any other number.
_SHORTEST_TOLD = 6


@dataclass(frozen=True, slots=True)
class NodeNames:
    """How node ids are written down.

    Attributes
    ----------
    key : str or None
        Secret of the pseudonyms (HMAC-SHA256, RFC 2104, cut to 128 bits); without it
        ids are written as they are. Whoever holds the key can recompute a pseudonym
        from a node id; without the key it says nothing about the node.
    """

    key: str | None = None

    @classmethod
    def with_key(cls, key: str | None) -> Self:
        """Take a key, else the one of ``FLWR_REGISTRY_NODE_KEY``."""
        return cls(key or os.environ.get(NODE_KEY_VARIABLE) or None)

    def __repr__(self) -> str:
        return f"NodeNames({'pseudonyms' if self.key else 'ids'})"

    def name_of(self, node_id: str | int) -> str:
        """Return the recorded name of a node; a pseudonym stays what it is."""
        name = str(node_id)
        if self.key is None or name.startswith(_MARK):
            return name
        digest = hmac.new(self.key.encode(), name.encode(), hashlib.sha256)
        return _MARK + digest.hexdigest()[:_DIGITS]

    def named(self, facts: RoundFacts) -> RoundFacts:
        """Return the facts of a round with recorded names in all contributions."""
        if self.key is None:
            return facts
        return replace(facts, contributions=self.contributions(facts.contributions))

    def contributions(
        self, contributions: Sequence[Contribution]
    ) -> tuple[Contribution, ...]:
        """Return contributions with recorded names, also in what errors say of them."""
        return tuple(map(self._contribution, contributions))

    def _contribution(self, given: Contribution) -> Contribution:
        node_id, name = str(given.node_id), self.name_of(given.node_id)
        reason = given.error_reason
        # Few reasons name a node: only for those is an expression made.
        if node_id != name and node_id in reason and len(node_id) >= _SHORTEST_TOLD:
            whole = rf"(?<!\w){re.escape(node_id)}(?!\w)"
            reason = re.sub(whole, lambda _: name, reason)
        return replace(given, node_id=name, error_reason=reason)
