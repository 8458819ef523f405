"""Who took part in a round, whether it answered or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from flwr_registry.records import Contribution, ContributionStatus

__all__ = ["complete_contributions", "count_of_successes"]


def complete_contributions(
    answered: Iterable[Contribution],
    chosen: Sequence[str],
    lost_reasons: Sequence[str] = (),
) -> tuple[Contribution, ...]:
    """Add the nodes that never answered, and each node's share of the examples.

    Parameters
    ----------
    answered : iterable of Contribution
        Of the nodes that gave content or an error.
    chosen : sequence of str
        Ids of all nodes that the round was sent to.
    lost_reasons : sequence of str
        Failures that do not say whose they are. When there are as many as silent nodes,
        they are theirs.

    Returns
    -------
    tuple of Contribution
        The answered ones in their order, then the silent ones in order of choice.
    """
    answered = list(answered)
    known = {contribution.node_id for contribution in answered}
    silent = [node_id for node_id in dict.fromkeys(chosen) if node_id not in known]
    explained = bool(lost_reasons) and len(lost_reasons) == len(silent)
    status = ContributionStatus.ERROR if explained else ContributionStatus.NO_REPLY
    reason = "; ".join(dict.fromkeys(lost_reasons)) if explained else ""
    missing = [
        Contribution(node_id, status=status, error_reason=reason) for node_id in silent
    ]
    return tuple([*_with_shares(answered), *missing])


def count_of_successes(contributions: Iterable[Contribution]) -> int:
    """How many nodes answered with content."""
    return sum(each.status is ContributionStatus.OK for each in contributions)


def _with_shares(contributions: list[Contribution]) -> list[Contribution]:
    total = sum(each.num_examples or 0 for each in contributions)
    if not total > 0:
        return contributions
    return [
        replace(each, weight_share=each.num_examples / total)
        if each.num_examples is not None
        else each
        for each in contributions
    ]
