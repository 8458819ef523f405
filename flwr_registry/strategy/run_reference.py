"""What the models of a run look like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from flwr_registry.checkpointing import CheckpointContent
from flwr_registry.validation.checks import same_names, same_shapes
from flwr_registry.weights import Architecture, Weights

__all__ = ["RunReference"]


@dataclass(frozen=True, slots=True)
class RunReference:
    """What the models of a run look like, as far as it is known.

    Attributes
    ----------
    given_fingerprint : str
        Of the model that the app gave to begin with; empty when it gave none.
    architecture : Architecture or None
        Of the first aggregate that training went on with; before that, of the model
        that training began with.
    is_settled : bool
        It is that of an aggregate.
    """

    given_fingerprint: str = ""
    architecture: Architecture | None = None
    is_settled: bool = False

    @classmethod
    def of(cls, content: CheckpointContent, weights: Weights | None) -> RunReference:
        """Take the reference of a checkpoint, to go on with.

        Parameters
        ----------
        weights : Weights or None
            Those of the checkpoint, which tell as much for one that has no reference.
        """
        if content.architecture is not None:
            return cls(content.fingerprint, content.architecture, content.is_settled)
        gave_model = any(each.gave_model for each in content.rounds.values())
        architecture = Architecture.of(weights) if weights is not None else None
        is_settled = gave_model and architecture is not None
        return cls(content.fingerprint, architecture, is_settled)

    @property
    def settled(self) -> Architecture | None:
        """What models are held against, None before the first aggregate."""
        return self.architecture if self.is_settled else None

    def given(self, weights: Weights) -> RunReference:
        """Note the model that the app gave, unless one is known."""
        fingerprint = self.given_fingerprint or Architecture.of(weights).fingerprint
        return replace(self, given_fingerprint=fingerprint)

    def beginning_with(self, weights: Weights) -> RunReference:
        """Note the model that training begins with."""
        if self.is_settled:
            return self
        return replace(self, architecture=Architecture.of(weights))

    def settled_by(self, weights: Weights) -> RunReference:
        """Note an aggregate that training goes on with; the first is the reference."""
        if self.is_settled:
            return self
        architecture = Architecture.of(weights, self.architecture)
        return replace(self, architecture=architecture, is_settled=True)

    def differences(self, weights: Weights) -> Iterator[str]:
        """Tell in what weights differ from the model that training began with."""
        expected = self.architecture
        if expected is None:
            return
        found = Architecture.of(weights, expected)
        if found.fingerprint == expected.fingerprint:
            return
        if found.opaque or expected.opaque:
            yield f"it is {'a serialized model' if found.opaque else 'arrays'} now"
            return
        yield from same_names(weights, expected)
        yield from same_shapes(weights, expected)
        dtypes = {spec.name: spec.dtype for spec in expected.tensors}
        for spec in found.tensors:
            before = dtypes.get(spec.name, spec.dtype)
            if before != spec.dtype:
                yield f"array '{spec.name}' has dtype {spec.dtype}, not {before}"
