"""How the predictors of a model are made, here or in another process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flwr_registry.errors import ModuleMismatchError
from flwr_registry.registry import ModelRegistry
from flwr_registry.serving.input_schema import InputSchema
from flwr_registry.serving.module_factory import name_of
from flwr_registry.serving.predictor import MAX_BATCH_BYTES, Predict, Predictor

__all__ = ["PredictorLoader"]


@dataclass(frozen=True, slots=True)
class PredictorLoader:
    """Makes the predictor of any version of a model.

    A `ModelServer` that is given one tries each version in a process of its own before
    it is served, which it cannot do with any other callable.

    Parameters
    ----------
    registry : ModelRegistry
        Where versions are looked up.
    model, arguments, predict, device, schema, max_batch_bytes
        As `Predictor` takes them; classes and functions that another process finds by
        their names, none of ``__main__``, and arguments that JSON gives back as they
        are: a list, no tuple.

    Examples
    --------
    >>> load = PredictorLoader(registry, Net)                   # doctest: +SKIP
    >>> ModelServer(registry, "digits", load).run()             # doctest: +SKIP
    """

    registry: ModelRegistry
    model: Any = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    predict: Predict | str | None = None
    device: str = "cpu"
    schema: InputSchema | None = None
    max_batch_bytes: int = MAX_BATCH_BYTES

    def __call__(self, reference: str) -> Predictor:
        """Load a version; raises as `Predictor` does."""
        return Predictor(
            reference,
            self.model,
            arguments=self.arguments or None,
            predict=self.predict,
            registry=self.registry,
            device=self.device,
            schema=self.schema,
            max_batch_bytes=self.max_batch_bytes,
        )

    def described(self) -> dict[str, Any]:
        """Return what `from_described` takes in another process, as plain data.

        The password of the database is in it.

        Raises
        ------
        ModuleMismatchError
            When something cannot be named; the message says what.
        """
        places = self.registry.described_places
        if places is None:
            raise ModuleMismatchError(
                "the registry's storage is an object: open the registry with a URL"
            )
        arguments = dict(self.arguments)
        try:
            told = json.loads(json.dumps(arguments))
            schema = self.schema and self.schema.to_json()
        except (TypeError, ValueError) as error:
            raise ModuleMismatchError(
                f"JSON cannot hold arguments or schema: {error}"
            ) from error
        if told != arguments:
            # What is tried would not be what is served.
            raise ModuleMismatchError(
                f"JSON cannot hold arguments: it makes {told} of {arguments}"
            )
        return {
            "registry": places,
            "model": _name_or_none(self.model),
            "arguments": arguments,
            "predict": _name_or_none(self.predict),
            "device": self.device,
            "schema": schema,
            "max_batch_bytes": self.max_batch_bytes,
        }

    @classmethod
    def from_described(cls, described: Mapping[str, Any]) -> PredictorLoader:
        """Open the registry and make the same loader."""
        registry = ModelRegistry(**described["registry"], create=False)
        schema = described["schema"]
        names = ("model", "arguments", "predict", "device", "max_batch_bytes")
        return cls(
            registry,
            **{name: described[name] for name in names},
            schema=None if schema is None else InputSchema.from_json(schema),
        )


def _name_or_none(found: Any) -> str | None:
    return found if found is None or isinstance(found, str) else name_of(found)
