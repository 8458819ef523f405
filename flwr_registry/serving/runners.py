"""What turns inputs into outputs: a torch module, a function, or a booster."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_registry.errors import ModuleMismatchError, PredictionError
from flwr_registry.records import ModelVersion
from flwr_registry.serving.input_schema import DEFAULT_INPUT, NamedArrays
from flwr_registry.serving.module_factory import (
    built,
    factory_named,
    installed_torch,
    recorded_factory,
)
from flwr_registry.validation import booster_errors, is_booster
from flwr_registry.validation.checks import same_names, same_shapes
from flwr_registry.weights import Architecture, Weights

__all__ = [
    "Runner",
    "booster_runner",
    "function_runner",
    "module_runner",
    "refuse_unsound",
    "runner_of",
]

Runner = Callable[[NamedArrays], NamedArrays]

_OUTPUT = "output"


def module_runner(module: Any, weights: Weights, device: str) -> Runner:
    """Put weights into a torch module, to be run without gradients.

    Parameters
    ----------
    module : torch.nn.Module
        Its own; it is put into evaluation mode.
    device : str
        As torch names it.

    Raises
    ------
    ImportError
        When torch is not installed.
    ModuleMismatchError
        When names or shapes differ; the message lists what does.
    """
    torch = installed_torch()
    if not isinstance(module, torch.nn.Module):
        raise ModuleMismatchError(
            f"the factory made a {type(module).__name__}, no torch module; for other "
            "models give predict=, a function of weights and inputs"
        )
    own = Weights.of(module)
    weights = _named_as(weights, own)
    differences = list(_differences(weights, Architecture.of(own)))
    if differences:
        raise ModuleMismatchError(
            f"the weights do not fit {type(module).__name__}: {'; '.join(differences)}"
        )
    module.load_state_dict(weights.to_torch())
    module.to(device).eval()

    def run(inputs: NamedArrays) -> NamedArrays:
        # Copies: torch warns of arrays that it could write to but must not.
        tensors = {name: torch.tensor(each) for name, each in inputs.items()}
        with torch.inference_mode():
            moved = {name: each.to(device) for name, each in tensors.items()}
            alone = len(moved) == 1
            made = module(*moved.values()) if alone else module(**moved)
            return _named_outputs(made)

    return run


def function_runner(predict: Callable[[Weights, Any], Any], weights: Weights) -> Runner:
    """Run a user's function of weights and inputs, such as numpy's or scikit-learn's.

    Parameters
    ----------
    predict : callable
        Takes the weights, and the inputs: an array, or arrays by name if there are
        several. Gives an array, several, or arrays by name.
    """

    def run(inputs: NamedArrays) -> NamedArrays:
        alone = next(iter(inputs.values())) if len(inputs) == 1 else dict(inputs)
        return _named_outputs(predict(weights, alone))

    return run


def booster_runner(weights: Weights) -> Runner:
    """Run a serialized XGBoost model.

    Raises
    ------
    ImportError
        When xgboost is not installed.
    PredictionError
        When the model is of another kind.
    """
    if not is_booster(weights):
        # XGBoost would try to read whatever it is given.
        raise PredictionError(
            "the model is serialized, but none of XGBoost (JSON or UBJSON): give "
            "predict=, a function of weights and inputs"
        )
    try:
        import xgboost
    except ImportError as error:
        raise ImportError(
            "the model is one of XGBoost, which is not installed: pip install xgboost"
        ) from error
    booster = xgboost.Booster()
    booster.load_model(bytearray(next(iter(weights.values())).tobytes()))

    def run(inputs: NamedArrays) -> NamedArrays:
        # In place, as a booster is not safe to use from several threads otherwise.
        (features,) = inputs.values()
        return _named_outputs(booster.inplace_predict(features))

    # Reading a model proves little: XGBoost looks at most of it when it predicts.
    run({DEFAULT_INPUT: np.zeros((1, booster.num_features()), np.float32)})
    return run


def refuse_unsound(weights: Weights, reference: str) -> None:
    """Let no serialized model be loaded that would end the process.

    Raises
    ------
    PredictionError
        Naming what is wrong with it.
    """
    errors = list(booster_errors(weights))
    if errors:
        raise PredictionError(f"{reference} is not loaded: {'; '.join(errors)}")


def _named_as(weights: Weights, own: Weights) -> Weights:
    """Take the names of the module for weights that have places alone."""
    places = [str(place) for place in range(len(weights))]
    if list(weights) != places or len(weights) != len(own) or set(weights) == set(own):
        return weights
    names = dict(zip(places, own, strict=True))
    return Weights(
        {names[place]: array for place, array in weights.items()},
        cast_back={names[place]: dtype for place, dtype in weights.cast_back.items()},
    )


def _differences(weights: Weights, own: Architecture) -> Iterator[str]:
    if {spec.name for spec in own.tensors} != set(weights):
        yield from same_names(weights, own)
    yield from same_shapes(weights, own)


def _named_outputs(made: Any) -> dict[str, NDArray[Any]]:
    if isinstance(made, Mapping):
        return {str(name): _array(name, each) for name, each in made.items()}
    if isinstance(made, tuple):
        return {
            f"{_OUTPUT}_{place}": _array(f"{_OUTPUT}_{place}", each)
            for place, each in enumerate(made)
        }
    return {_OUTPUT: _array(_OUTPUT, made)}


def _array(name: str, value: Any) -> NDArray[Any]:
    if callable(getattr(value, "detach", None)):
        value = value.detach().cpu()
        # numpy has no such dtype.
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
        return value.numpy()  # type: ignore[no-any-return]
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise PredictionError(f"the model's output {name!r} is no array of numbers")
    return array


def runner_of(
    version: ModelVersion,
    weights: Weights,
    model: Any,
    arguments: Mapping[str, Any],
    predict: Callable[[Weights, Any], Any] | str | None,
    device: str,
) -> Runner:
    """Return what runs a version, as `Predictor` is told to.

    Raises
    ------
    ModuleMismatchError
        When weights and module differ, or nothing says how the module is built.
    """
    if predict is not None:
        function = factory_named(predict) if isinstance(predict, str) else predict
        return function_runner(function, weights)
    if model is None and weights.opaque:
        return booster_runner(weights)
    return module_runner(_module(version, model, arguments), weights, device)


def _module(version: ModelVersion, model: Any, arguments: Mapping[str, Any]) -> Any:
    if model is None:
        recorded = recorded_factory(version.metadata.model_config)
        if recorded is None:
            raise ModuleMismatchError(
                f"{version.reference} does not say how its module is built: give "
                "model=Net (--factory package.module:Net), or record its "
                "model_config by described_model(Net)"
            )
        return recorded()
    if isinstance(model, str):
        return built(factory_named(model), model, arguments)
    if isinstance(model, type) or not hasattr(model, "state_dict"):
        return built(model, getattr(model, "__name__", str(model)), arguments)
    return copy.deepcopy(model)
