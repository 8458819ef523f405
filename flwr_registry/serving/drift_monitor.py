"""Watching whether inputs and predictions are spread as they were."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from flwr_registry.records import DriftFinding, DriftKind, ModelVersion
from flwr_registry.serving.input_schema import NamedArrays
from flwr_registry.shown_text import OneLineLogger
from flwr_registry.validation import LiveDistribution, TensorReference

__all__ = ["DriftMonitor", "baseline_of"]

_LOGGER = OneLineLogger("flwr_registry")
_KINDS = {"input": DriftKind.INPUT, "output": DriftKind.PREDICTION}

Baseline = Mapping[str, TensorReference]


def baseline_of(
    inputs: NamedArrays, outputs: NamedArrays
) -> dict[str, TensorReference]:
    """Describe how inputs and outputs are spread.

    Returns
    -------
    dict of str to TensorReference
        By ``input:NAME`` and ``output:NAME``.

    Raises
    ------
    ValueError
        For too few examples.
    """
    named = {f"input:{name}": each for name, each in inputs.items()}
    named |= {f"output:{name}": each for name, each in outputs.items()}
    return {
        name: TensorReference.of(each)
        for name, each in named.items()
        if each.dtype.kind in "biuf"
    }


class DriftMonitor:
    """Counts what one version is asked and answers, without keeping any of it.

    Parameters
    ----------
    version : ModelVersion
        The version.
    baseline : mapping of str to TensorReference
        As it was recorded with the version; empty for none.
    record : callable
        Keeps new findings.
    """

    def __init__(
        self,
        version: ModelVersion,
        baseline: Baseline,
        record: Callable[[ModelVersion, Sequence[DriftFinding]], object],
    ) -> None:
        self.version = version
        self._described = _described(baseline)
        self._live = {name: LiveDistribution(each) for name, each in baseline.items()}
        self._record = record
        self._told: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def watches(self, version: ModelVersion, baseline: Baseline) -> bool:
        """Whether it is this version that is held against this baseline."""
        same = version.id == self.version.id
        return same and _described(baseline) == self._described

    def observe(self, inputs: NamedArrays, outputs: NamedArrays) -> None:
        """Count a batch."""
        if not self._live:
            return
        with self._lock:
            for prefix, arrays in (("input", inputs), ("output", outputs)):
                for name, each in arrays.items():
                    live = self._live.get(f"{prefix}:{name}")
                    if live is not None:
                        live.update(each)

    def distances(self) -> dict[str, dict[str, float]]:
        """Return how far each tensor has moved, by test: of its worst feature."""
        with self._lock:
            return {
                name: {
                    "psi": float(live.stability_index().max()),
                    "ks": float(live.kolmogorov_smirnov().max()),
                }
                for name, live in self._live.items()
                if live.is_judged
            }

    def review(self) -> None:
        """Log and record what drifts and was not told before.

        What is spread as it was again is told again if it drifts once more.
        """
        with self._lock:
            found = [
                finding
                for name, live in self._live.items()
                for finding in live.findings(_KINDS[name.partition(":")[0]], name)
            ]
        fresh = [each for each in found if each.key not in self._told]
        if fresh:
            for each in fresh:
                _LOGGER.warning("registry: drift (%s): %s", each.severity, each.message)
            self._record(self.version, fresh)
        self._told = {each.key for each in found}


def _described(baseline: Baseline) -> dict[str, object]:
    return {name: each.to_json() for name, each in baseline.items()}
