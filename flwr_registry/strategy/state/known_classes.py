"""Classes that a checkpoint may name: those of the user's own code, loaded already.

Nothing is imported for a checkpoint, and no constructor runs: an object is made bare
and given its attributes. So a checkpoint can name a class, and never make it act.
"""

from __future__ import annotations

import argparse
import sys
from collections import ChainMap, UserDict, UserList
from dataclasses import is_dataclass
from enum import Enum
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from flwr_registry.strategy.state.attributes import attributes_of, users_classes_of
from flwr_registry.strategy.state.containers import base_of
from flwr_registry.strategy.state.plain_state import is_strategy

__all__ = ["KnownClasses", "class_name_of", "holds_fields", "is_frozen", "made_bare"]

_BAGS = (SimpleNamespace, argparse.Namespace, UserDict, UserList, ChainMap)
"""Objects that are their attributes and no more."""


def class_name_of(kind: type) -> str:
    """Return the name by which a checkpoint knows a class."""
    return f"{kind.__module__}:{kind.__qualname__}"


def holds_fields(kind: type) -> bool:
    """Whether objects of a class are their attributes: dataclasses and the like."""
    return (
        is_dataclass(kind)
        or hasattr(kind, "__attrs_attrs__")
        or issubclass(kind, _BAGS)
    )


def is_frozen(kind: type) -> bool:
    """Whether objects of a class are replaced rather than changed."""
    parameters = getattr(kind, "__dataclass_params__", None)
    return bool(getattr(parameters, "frozen", False))


def made_bare(kind: type) -> Any:
    """Make an object without running code of its class."""
    bag = SimpleNamespace if issubclass(kind, SimpleNamespace) else object
    base: Any = base_of(kind) or bag
    return base.__new__(kind)


@lru_cache(maxsize=256)
def _can_be_made(kind: type) -> bool:
    if hasattr(kind, "__del__"):
        return False
    try:
        made_bare(kind)
    except TypeError:
        return False
    return True


class KnownClasses:
    """The classes of a strategy's own code.

    Parameters
    ----------
    strategy : object
        Known are the classes in the packages of its own classes and of those of the
        strategies it wraps, and what their modules import by name.
    """

    def __init__(self, strategy: Any) -> None:
        self._bags = {class_name_of(kind): kind for kind in _BAGS}
        modules = _modules_of(strategy, set())
        self._packages = {name.partition(".")[0] for name in modules}
        self._imported = {
            class_name_of(value): value
            for name in modules
            for value in vars(sys.modules[name]).values()
            if isinstance(value, type)
        }

    def find(self, name: str) -> type | None:
        """Return the class of a name, None when it is none of the known."""
        found = self._bags.get(name) or self._imported.get(name) or self._loaded(name)
        return found if found is not None and _can_be_made(found) else None

    def knows(self, kind: type) -> bool:
        """Whether `find` gives this class."""
        return self.find(class_name_of(kind)) is kind

    def find_enum(self, name: str) -> type[Enum] | None:
        """Return the enumeration of a name, None when it is none of the known."""
        found = self._imported.get(name) or self._loaded(name)
        return found if found is not None and issubclass(found, Enum) else None

    def _loaded(self, name: str) -> type | None:
        module, _, path = name.partition(":")
        found: Any = sys.modules.get(module)
        if found is None or module.partition(".")[0] not in self._packages:
            return None
        for part in path.split("."):
            found = vars(found).get(part) if hasattr(found, "__dict__") else None
            if found is None:
                return None
        return found if isinstance(found, type) else None


def _modules_of(strategy: Any, seen: set[int]) -> set[str]:
    """Return the modules of a strategy's own classes, those it wraps included."""
    if id(strategy) in seen:
        return set()
    seen.add(id(strategy))
    names = {each.__module__ for each in users_classes_of(strategy)}
    for value in attributes_of(strategy).values():
        if is_strategy(value):
            names |= _modules_of(value, seen)
    return {name for name in names if name in sys.modules}
