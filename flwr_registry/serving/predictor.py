"""A version of a model, put to use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_registry.errors import PredictionError
from flwr_registry.records import ModelVersion, VersionStatus
from flwr_registry.registry import ModelRegistry
from flwr_registry.serving.drift_monitor import baseline_of
from flwr_registry.serving.foreign_code import contained
from flwr_registry.serving.input_schema import InputSchema, NamedArrays, named_inputs
from flwr_registry.serving.module_factory import recorded_schema
from flwr_registry.serving.runners import refuse_unsound, runner_of
from flwr_registry.validation import TensorReference
from flwr_registry.weights import Weights

__all__ = [
    "MAX_BATCH_BYTES",
    "Predict",
    "Predictor",
    "production_reference",
    "refuse_unfit",
]

MAX_BATCH_BYTES = 64 * 1024 * 1024
"""Inputs of more bytes are predicted in parts, unless another number is given."""

Model = Any
Predict = Callable[[Weights, Any], Any]


class Predictor:
    """Single and batch inference with a registered version; safe to use from threads.

    The weights are verified against their SHA-256, compared with the module by names
    and shapes, and loaded without gradients, in evaluation mode.

    Parameters
    ----------
    reference : str
        The version; a bare name of a model means its production version.
    model : torch module, class, ``"package.module:Class"``, or None
        How to build the module. A module is copied, not changed. None takes what was
        recorded with the version (see `described_model`).
    arguments : mapping, optional
        What the class is called with.
    predict : callable or ``"package.module:function"``, optional
        ``predict(weights, inputs)`` for models that are no torch modules.
    registry : ModelRegistry or str, optional
        The registry, or its database; by default the same as everywhere.
    storage : str, optional
        Where the weights lie, if `registry` is no `ModelRegistry`.
    device : str
        Where to compute, as torch names it.
    schema : InputSchema, optional
        What the model takes; by default what was recorded with the version.
    max_batch_bytes : int
        Inputs of more bytes are cut along their first axis.
    warm_up : bool
        Predict once before the first use, where the inputs are known.

    Attributes
    ----------
    version : ModelVersion
        What is used.
    schema : InputSchema or None
        What it takes.

    Raises
    ------
    ModelNotFoundError, NoProductionModelError, IntegrityError
        As `ModelRegistry.get` and `ModelRegistry.load` do.
    ModuleMismatchError
        When weights and module differ; the message lists how.
    PredictionError
        For a version that failed validation or was withdrawn, and for an XGBoost model
        whose trees cannot be walked.

    Examples
    --------
    >>> predictor = Predictor("digits", Net)                    # doctest: +SKIP
    >>> predictor.predict(images).argmax(axis=1)                # doctest: +SKIP
    """

    def __init__(
        self,
        reference: str,
        model: Model = None,
        *,
        arguments: Mapping[str, Any] | None = None,
        predict: Predict | str | None = None,
        registry: ModelRegistry | str | None = None,
        storage: str | None = None,
        device: str = "cpu",
        schema: InputSchema | None = None,
        max_batch_bytes: int = MAX_BATCH_BYTES,
        warm_up: bool = True,
    ) -> None:
        if model is not None and predict is not None:
            raise ValueError("give model= or predict=, not both")
        if max_batch_bytes < 1:
            raise ValueError(f"max_batch_bytes is at least 1, not {max_batch_bytes}")
        with _opened(registry, storage) as opened:
            self.version = opened.get(production_reference(reference))
            refuse_unfit(self.version)
            weights = opened.load(self.version.reference)
        if weights.opaque:
            refuse_unsound(weights, self.version.reference)
        config = self.version.metadata.model_config
        self.schema = schema if schema is not None else recorded_schema(config)
        self._max_batch_bytes = max_batch_bytes
        with contained(f"loading {self.version.reference}"):
            self._run = runner_of(
                self.version, weights, model, arguments or {}, predict, device
            )
        if warm_up and self.schema is not None:
            self.run(self.schema.zeros())

    def predict(self, inputs: Any) -> Any:
        """Predict for a batch.

        Parameters
        ----------
        inputs : array, torch tensor, nested lists, JSON text, or mapping of names
            The first axis counts the examples.

        Returns
        -------
        numpy.ndarray or dict of str to numpy.ndarray
            The output; by name when there are several.

        Raises
        ------
        InvalidInputError
            Naming the input that does not fit.
        PredictionError
            When the model itself fails.
        """
        outputs = self.run(named_inputs(inputs, self.schema))
        return _alone(outputs)

    def predict_one(self, inputs: Any) -> Any:
        """Predict for one example, without the axis that counts examples.

        Raises
        ------
        InvalidInputError, PredictionError
            As `predict` does.
        """
        if isinstance(inputs, Mapping):
            batch: Any = {name: _batch_of_one(each) for name, each in inputs.items()}
        else:
            batch = _batch_of_one(inputs)
        outputs = self.run(named_inputs(batch, self.schema))
        return _alone({name: each[0] for name, each in outputs.items()})

    def baseline(self, inputs: Any) -> dict[str, TensorReference]:
        """Describe how these inputs, and the predictions for them, are spread.

        Parameters
        ----------
        inputs
            As `predict` takes them: at least 200 examples of what is expected.

        Returns
        -------
        dict of str to TensorReference
            For `ModelRegistry.set_drift_baseline`.

        Raises
        ------
        InvalidInputError, PredictionError
            As `predict` does.
        ValueError
            For too few examples.
        """
        arrays = named_inputs(inputs, self.schema)
        return baseline_of(arrays, self.run(arrays))

    def run(self, inputs: NamedArrays) -> NamedArrays:
        """Predict for named arrays that fit the schema, in batches of bounded size.

        Raises
        ------
        PredictionError
            When the model itself fails.
        """
        try:
            with contained(f"{self.version.reference}, asked to predict,"):
                made = [self._run(batch) for batch in self._batches(inputs)]
        except PredictionError:
            raise
        except Exception as error:
            shapes = {name: list(each.shape) for name, each in inputs.items()}
            raise PredictionError(
                f"{self.version.reference} cannot predict for inputs of shape "
                f"{shapes}: {error or type(error).__name__}"
            ) from error
        if len(made) == 1:
            return made[0]
        self._check_rows(made, inputs)
        return {name: np.concatenate([each[name] for each in made]) for name in made[0]}

    def _batches(self, inputs: NamedArrays) -> Iterator[NamedArrays]:
        rows = len(next(iter(inputs.values())))
        size_bytes = sum(each.nbytes for each in inputs.values())
        at_once = max(1, rows * self._max_batch_bytes // max(1, size_bytes))
        if rows <= at_once:
            yield inputs
            return
        for start in range(0, rows, at_once):
            end = start + at_once
            yield {name: each[start:end] for name, each in inputs.items()}

    def _check_rows(self, made: list[NamedArrays], inputs: NamedArrays) -> None:
        rows = len(next(iter(inputs.values())))
        for name in made[0]:
            found = sum(each[name].shape[0] if each[name].ndim else 0 for each in made)
            if found != rows:
                raise PredictionError(
                    f"output {name!r} has {found} rows for {rows} examples, so batches "
                    "cannot be joined: raise max_batch_bytes"
                )


def production_reference(reference: str) -> str:
    """Take a bare name of a model for its production version."""
    is_bare = not set(reference) & set("@:/")
    return f"{reference}@production" if is_bare else reference


def refuse_unfit(version: ModelVersion) -> None:
    """Let no version be used that must not be.

    Raises
    ------
    PredictionError
        When it failed validation or was withdrawn.
    """
    if version.withdrawn:
        raise PredictionError(
            f"{version.reference} is withdrawn: a node that it was trained with took "
            "its part back"
        )
    if version.status is VersionStatus.FAILED:
        problems = "; ".join(version.validation_errors)
        raise PredictionError(f"{version.reference} failed validation: {problems}")


@contextmanager
def _opened(
    registry: ModelRegistry | str | None, storage: str | None
) -> Iterator[ModelRegistry]:
    if isinstance(registry, ModelRegistry):
        if storage is not None:
            raise ValueError("a ModelRegistry has its storage: give no other with it")
        yield registry
        return
    with ModelRegistry(registry, storage, create=False) as opened:
        yield opened


def _batch_of_one(value: Any) -> Any:
    return [value] if isinstance(value, list | int | float) else value[None]


def _alone(outputs: NamedArrays) -> NDArray[Any] | dict[str, NDArray[Any]]:
    return next(iter(outputs.values())) if len(outputs) == 1 else dict(outputs)
