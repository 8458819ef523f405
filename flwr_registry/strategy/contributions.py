"""Who took part in a round, whether it answered or not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from flwr_registry.checkpointing import number_of
from flwr_registry.records import Contribution, ContributionStatus

__all__ = ["complete_contributions", "count_of_successes", "examples_of"]

_LONGEST_NODE_ID = 200
_LONGEST_REASON = 2000


def complete_contributions(
    answered: Iterable[Contribution],
    chosen: Sequence[str],
    lost_reasons: Sequence[str] = (),
) -> tuple[Contribution, ...]:
    """Add the nodes that never answered, and each node's share of the examples.

    A node that was sent several messages makes one contribution: its examples are
    added up; of a metric that it gave several times the last counts; it answered if it
    answered one of them, and the first error is kept.

    Parameters
    ----------
    answered : iterable of Contribution
        One for each reply, content or error.
    chosen : sequence of str
        Ids of all nodes that the round was sent to, one for each message.
    lost_reasons : sequence of str
        Failures that do not say whose they are. When there are as many as silent nodes,
        they are theirs.

    Returns
    -------
    tuple of Contribution
        The answered ones in their order, then the silent ones in order of choice.
    """
    answered = [_bounded(each) for each in answered]
    silent = _silent_nodes(answered, chosen)
    explained = bool(lost_reasons) and len(lost_reasons) == len(silent)
    status = ContributionStatus.ERROR if explained else ContributionStatus.NO_REPLY
    reason = "; ".join(dict.fromkeys(lost_reasons)) if explained else ""
    missing = [
        _bounded(Contribution(node_id, status=status, error_reason=reason))
        for node_id in silent
    ]
    by_node: dict[str, Contribution] = {}
    for each in [*answered, *missing]:
        known = by_node.get(each.node_id)
        by_node[each.node_id] = each if known is None else _merged(known, each)
    return tuple(_with_shares(list(by_node.values())))


def count_of_successes(contributions: Iterable[Contribution]) -> int:
    """How many nodes answered with content."""
    return sum(each.status is ContributionStatus.OK for each in contributions)


def examples_of(value: Any) -> float | None:
    """Return a count of examples, None for what is none."""
    number = number_of(value)
    return number if number is not None and 0 <= number < math.inf else None


def _bounded(given: Contribution) -> Contribution:
    return replace(
        given,
        node_id=given.node_id[:_LONGEST_NODE_ID],
        error_reason=_shortened(given.error_reason),
    )


def _shortened(reason: str) -> str:
    """Keep the beginning and the end of a long text, where a traceback says most."""
    if len(reason) <= _LONGEST_REASON:
        return reason
    half = _LONGEST_REASON // 2
    left_out = len(reason) - 2 * half
    return f"{reason[:half]} ... {left_out} characters ... {reason[-half:]}"


def _silent_nodes(answered: Iterable[Contribution], chosen: Sequence[str]) -> list[str]:
    """Return the node of each message without a reply."""
    replies = Counter(each.node_id for each in answered)
    silent = []
    for node_id in chosen:
        bounded = node_id[:_LONGEST_NODE_ID]
        if replies[bounded] > 0:
            replies[bounded] -= 1
        else:
            silent.append(bounded)
    return silent


def _merged(first: Contribution, second: Contribution) -> Contribution:
    """Make one contribution of two of the same node."""
    states = (first.status, second.status)
    order = (
        ContributionStatus.OK,
        ContributionStatus.ERROR,
        ContributionStatus.NO_REPLY,
    )
    counts = [each.num_examples for each in (first, second)]
    known = [count for count in counts if count is not None]
    failed = first if first.error_reason or first.error_code is not None else second
    return Contribution(
        first.node_id,
        status=next(status for status in order if status in states),
        num_examples=sum(known) if known else None,
        metrics={**first.metrics, **second.metrics},
        error_code=failed.error_code,
        error_reason=failed.error_reason,
    )


def _with_shares(contributions: list[Contribution]) -> list[Contribution]:
    total = sum(each.num_examples or 0 for each in contributions)
    if not 0 < total < math.inf:
        return contributions
    return [
        replace(each, weight_share=each.num_examples / total)
        if each.num_examples is not None
        else each
        for each in contributions
    ]
