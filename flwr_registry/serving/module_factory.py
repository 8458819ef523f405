"""How the module of a model is built: by a callable that is named or recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from flwr_registry.errors import ModuleMismatchError
from flwr_registry.extras import how_to_install
from flwr_registry.serving.input_schema import InputSchema

__all__ = [
    "ModuleFactory",
    "built",
    "described_model",
    "factory_named",
    "installed_torch",
    "name_of",
    "recorded_factory",
    "recorded_schema",
]

ModuleFactory = Callable[[], Any]

_FACTORY, _ARGUMENTS, _INPUTS = "factory", "arguments", "inputs"


def described_model(
    factory: type | str, *, inputs: Any = None, **arguments: Any
) -> dict[str, Any]:
    """Describe how to build and to call a model, to be recorded as `model_config`.

    Parameters
    ----------
    factory : class or str
        A ``torch.nn.Module``, or ``"package.module:Class"``.
    inputs : array, torch tensor, or mapping of names to such, optional
        An example, whose names, dtypes and shapes are recorded as the input schema.
    **arguments
        What the class is called with; JSON has to hold it.

    Examples
    --------
    >>> described_model("shop.task:Net", hidden=32)
    {'factory': 'shop.task:Net', 'arguments': {'hidden': 32}}
    """
    named = factory if isinstance(factory, str) else name_of(factory)
    described: dict[str, Any] = {_FACTORY: named, _ARGUMENTS: arguments}
    if inputs is not None:
        described[_INPUTS] = InputSchema.of(inputs).to_json()
    return described


def name_of(found: Any) -> str:
    """Return the name by which another process finds a class or function.

    Raises
    ------
    ModuleMismatchError
        When it has none.
    """
    module = getattr(found, "__module__", None)
    name = getattr(found, "__qualname__", None)
    if module is None or name is None:
        raise ModuleMismatchError(
            f"a {type(found).__name__} has no name by which another process finds it: "
            "give a class or function"
        )
    named = f"{module}:{name}"
    if module == "__main__" or "<" in name:
        raise ModuleMismatchError(
            f"{named} cannot be found by name from another process: put the class at "
            "the top of a module that can be imported"
        )
    return named


def recorded_schema(model_config: Mapping[str, Any]) -> InputSchema | None:
    """Return the input schema that was recorded with a version, None without one."""
    described = model_config.get(_INPUTS)
    return None if described is None else InputSchema.from_json(described)


def recorded_factory(model_config: Mapping[str, Any]) -> ModuleFactory | None:
    """Return how to build the module by what was recorded, None without that.

    Whoever writes into the registry chooses the name. So it has to be a subclass of
    ``torch.nn.Module`` that is installed: no other callable is ever called.

    Raises
    ------
    ModuleMismatchError
        When the name leads to nothing, or to no such class.
    """
    named = model_config.get(_FACTORY)
    if not isinstance(named, str):
        return None
    torch, found = installed_torch(), factory_named(named)
    if not (isinstance(found, type) and issubclass(found, torch.nn.Module)):
        raise ModuleMismatchError(
            f"the recorded factory {named!r} is no torch module class: say yourself "
            "how the model is built"
        )
    arguments = model_config.get(_ARGUMENTS) or {}
    return lambda: built(found, named, arguments)


def installed_torch() -> ModuleType:
    """Import torch.

    Raises
    ------
    ImportError
        Saying how to install it.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"torch is not installed: {how_to_install('torch')}"
        ) from error
    return torch


def factory_named(name: str) -> Callable[..., Any]:
    """Import a callable by ``"package.module:name"``.

    Raises
    ------
    ModuleMismatchError
        When there is none; the message says what is missing.
    """
    module_name, colon, attribute = name.partition(":")
    if not colon or not module_name or not attribute:
        raise ModuleMismatchError(
            f"{name!r} names no callable: use package.module:Class"
        )
    try:
        found: Any = import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ModuleMismatchError(
            f"{name!r} cannot be imported: {error}; is the app installed here "
            "(pip install -e .), or the command run in its folder?"
        ) from error
    if not callable(found):
        raise ModuleMismatchError(f"{name!r} is no class and no function")
    return found  # type: ignore[no-any-return]


def built(factory: Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> Any:
    """Call a factory.

    Raises
    ------
    ModuleMismatchError
        When it raises.
    """
    try:
        return factory(**arguments)
    except Exception as error:
        raise ModuleMismatchError(
            f"{name} cannot be built with {dict(arguments)}: {error}"
        ) from error
