"""What rounds did to the model: how far, in which direction, and by whom.

Nothing here looks at what a single client sent; only aggregates are measured.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_registry.records import Contribution, DriftFinding, DriftKind, DriftSeverity
from flwr_registry.weights import Weights

__all__ = ["UpdateMeter", "update_findings"]

NORM, COSINE = "update_norm", "update_cosine"
SHARE, CONTRIBUTORS = "largest_weight_share", "num_contributors"

_SAMPLED_VALUES = 65_536
_BLOCK = 64
_LEAST_VALUES = 16

_HISTORY = 10
_MIN_ROUNDS = 5
_NORM_FACTOR = 4.0
_OPPOSITE = 0.8
_ROUNDS_OF_OPPOSITES = 3
_SHARE = 2 / 3
_SHARE_FACTOR = 1.5
_CONTRIBUTORS_FACTOR = 2.0


class UpdateMeter:
    """Measures each round's change of the model against the change before.

    Of large models a fixed part is looked at: blocks of each tensor, the same ones in
    each round, 65,536 values in all, which makes the norm right to about one per cent
    and takes a millisecond whatever the size.
    """

    def __init__(self) -> None:
        self._former: NDArray[np.float64] | None = None

    def measure(
        self,
        before: Weights | None,
        after: Weights,
        contributions: Sequence[Contribution],
    ) -> dict[str, float]:
        """Return what is known of a round's change, by name.

        Parameters
        ----------
        before : Weights or None
            What the round was trained from; None when it is not known.
        after : Weights
            What it gave.

        Returns
        -------
        dict of str to float
            ``update_norm`` (L2), ``update_cosine`` with the change before, the
            ``largest_weight_share`` of a node, and ``num_contributors``; what cannot be
            said is left out.
        """
        shares = [
            each.weight_share for each in contributions if each.weight_share is not None
        ]
        found = {CONTRIBUTORS: float(len(shares)), SHARE: max(shares)} if shares else {}
        change = _change(before, after)
        former, self._former = self._former, change
        if change is None:
            return found
        norm = float(np.linalg.norm(change))
        if not math.isfinite(norm):
            return found
        found[NORM] = norm
        if former is not None and former.size == change.size:
            lengths = norm * float(np.linalg.norm(former))
            if lengths > 0 and math.isfinite(lengths):
                found[COSINE] = float(change @ former) / lengths
        return found


def update_findings(updates: Mapping[int, Mapping[str, float]]) -> list[DriftFinding]:
    """Find the first round whose update is unlike those before, for each measure.

    Parameters
    ----------
    updates : mapping of int to mapping of str to float
        By round, as `UpdateMeter.measure` gives them.
    """
    rounds = sorted(updates)
    found: dict[str, DriftFinding] = {}
    for place, number in enumerate(rounds):
        before = [updates[each] for each in rounds[max(0, place - _HISTORY) : place]]
        for finding in _unlike(number, updates[number], before):
            found.setdefault(finding.subject, finding)
    return list(found.values())


def _unlike(
    number: int, now: Mapping[str, float], before: Sequence[Mapping[str, float]]
) -> Iterator[DriftFinding]:
    norms, shares, counts = (
        _known(before, name) for name in (NORM, SHARE, CONTRIBUTORS)
    )
    if NORM in now and len(norms) >= _MIN_ROUNDS:
        ratio = now[NORM] / max(statistics.median(norms), 1e-300)
        text = f"the update is {ratio:.1f} times as large as those before"
        yield from _finding(NORM, number, ratio, _NORM_FACTOR, text)
    if SHARE in now and len(shares) >= _MIN_ROUNDS:
        allowed = max(_SHARE, _SHARE_FACTOR * statistics.median(shares))
        text = f"one node has {now[SHARE]:.0%} of the examples"
        yield from _finding(SHARE, number, now[SHARE], allowed, text)
    if CONTRIBUTORS in now and len(counts) >= _MIN_ROUNDS:
        usual = statistics.median(counts)
        ratio = usual / max(now[CONTRIBUTORS], 0.5)
        text = f"{now[CONTRIBUTORS]:.0f} nodes contributed, {usual:.0f} before"
        yield from _finding(CONTRIBUTORS, number, ratio, _CONTRIBUTORS_FACTOR, text)
    cosines = [*_known(before, COSINE), *_known([now], COSINE)]
    last = cosines[-_ROUNDS_OF_OPPOSITES:]
    if COSINE in now and len(last) == _ROUNDS_OF_OPPOSITES:
        opposed = -max(last)
        text = "each update undoes the one before: a learning rate is too large"
        yield from _finding(COSINE, number, opposed, _OPPOSITE, text)


def _finding(
    subject: str, number: int, statistic: float, threshold: float, text: str
) -> Iterator[DriftFinding]:
    if statistic > threshold:
        yield DriftFinding(
            kind=DriftKind.UPDATE,
            subject=subject,
            since=f"round {number}",
            found=f"round {number}",
            statistic=statistic,
            threshold=threshold,
            severity=DriftSeverity.of(statistic, threshold),
            message=f"round {number}: {text}",
        )


def _known(rounds: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [each[name] for each in rounds if name in each]


def _change(before: Weights | None, after: Weights) -> NDArray[np.float64] | None:
    """Return a part of the change, scaled so that its norm is that of the whole."""
    if before is None or before.opaque or after.opaque or list(before) != list(after):
        return None
    total = sum(array.size for array in after.values())
    pieces = []
    for name, array in after.items():
        old = before[name]
        is_alike = old.shape == array.shape and array.dtype.kind in "iuf"
        if not is_alike or _is_by_columns(old) != _is_by_columns(array):
            return None
        count = max(_LEAST_VALUES, _SAMPLED_VALUES * array.size // max(1, total))
        sampled_before = _sampled(old, count)
        with np.errstate(all="ignore"):
            part = _sampled(array, count) - sampled_before
        # A constant mask of -inf does not change; what became so has no measure.
        part[~np.isfinite(sampled_before)] = 0.0
        if part.size:
            pieces.append(part * math.sqrt(array.size / part.size))
    return np.concatenate(pieces) if pieces else None


def _sampled(array: NDArray[Any], count: int) -> NDArray[np.float64]:
    """Return about so many values of an array, in blocks at even distances."""
    flat = array.ravel(order="F" if _is_by_columns(array) else "C")
    if flat.size <= count:
        return np.asarray(flat, np.float64)
    num_blocks = flat.size // _BLOCK
    if num_blocks * _BLOCK <= count:
        return np.asarray(flat[:count], np.float64)
    stride = max(1, num_blocks * _BLOCK // count)
    blocks = flat[: num_blocks * _BLOCK].reshape(-1, _BLOCK)[::stride]
    return np.asarray(blocks, np.float64).reshape(-1)


def _is_by_columns(array: NDArray[Any]) -> bool:
    return array.flags.f_contiguous and not array.flags.c_contiguous
