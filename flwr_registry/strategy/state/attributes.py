"""The attributes of an object, wherever its class keeps them.

They lie in the object's dictionary, in the ``__slots__`` of its classes, or in both.
Nothing here runs code of the object's class, such as a property or ``__setattr__``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from types import MemberDescriptorType
from typing import Any

__all__ = [
    "attributes_of",
    "class_attributes_of",
    "delete_attribute",
    "set_attribute",
    "users_classes_of",
]

_ABSENT = object()
_FOREIGN = ("flwr", "flwr_registry", "builtins", "abc", "typing")


def attributes_of(owner: Any) -> dict[str, Any]:
    """Return the attributes that an object has itself, those in slots included."""
    attributes = {
        name: value
        for name, value in _dictionary_of(owner).items()
        if isinstance(name, str)
    }
    for name in _slots_of(type(owner)):
        value = _read(owner, name)
        if value is not _ABSENT:
            attributes[name] = value
    return attributes


def set_attribute(owner: Any, name: str, value: Any) -> None:
    """Set an attribute, also that of a frozen dataclass or of a class itself."""
    if isinstance(owner, type):
        type.__setattr__(owner, name, value)
    elif name in _slots_of(type(owner)):
        object.__setattr__(owner, name, value)
    else:
        _dictionary_of(owner)[name] = value


def delete_attribute(owner: Any, name: str) -> None:
    """Take an attribute away."""
    if isinstance(owner, type):
        type.__delattr__(owner, name)
    elif name in _slots_of(type(owner)):
        object.__delattr__(owner, name)
    else:
        del _dictionary_of(owner)[name]


def users_classes_of(owner: Any) -> dict[type, type]:
    """Return the classes of a strategy that are neither Flower's nor this package's.

    Returns
    -------
    dict of type to type
        To each class the one of the user's code whose state lies on it: itself, but
        what code sets on ``type(self)`` lies on the class that wrapping makes.
    """
    found = [each for each in type(owner).__mro__ if not _is_foreign(each)]
    users = [each for each in found if not _is_made_here(each)]
    return {each: each if each in users else users[0] for each in found if users}


def _is_foreign(owner: type) -> bool:
    return owner.__module__.partition(".")[0] in _FOREIGN


def _is_made_here(owner: type) -> bool:
    return any(
        each.__module__.partition(".")[0] == "flwr_registry" for each in owner.__mro__
    )


def class_attributes_of(owner: type) -> dict[str, Any]:
    """Return what a class holds itself and code may change: no method, no property."""
    return {
        name: value
        for name, value in vars(owner).items()
        if not _is_machinery(name, value)
    }


def _is_machinery(name: str, value: Any) -> bool:
    is_special = name.startswith(("__", "_abc_", "_flwr_registry"))
    return is_special or hasattr(type(value), "__get__")


def _dictionary_of(owner: Any) -> dict[str, Any]:
    try:
        found = object.__getattribute__(owner, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}


def _slots_of(owner: type) -> tuple[str, ...]:
    return _known_slots(owner)


@lru_cache(maxsize=1024)
def _known_slots(owner: type) -> tuple[str, ...]:
    return tuple(_walk_slots(owner))


def _walk_slots(owner: type) -> Iterator[str]:
    for each in owner.__mro__:
        declared = vars(each).get("__slots__", ())
        for name in (declared,) if isinstance(declared, str) else tuple(declared):
            stored = _mangled(each, name)
            if isinstance(vars(each).get(stored), MemberDescriptorType):
                yield stored


def _mangled(owner: type, name: str) -> str:
    """Return the name under which a class keeps a private attribute."""
    is_private = name.startswith("__") and not name.endswith("__")
    return f"_{owner.__name__.lstrip('_')}{name}" if is_private else name


def _read(owner: Any, name: str) -> Any:
    try:
        return object.__getattribute__(owner, name)
    except AttributeError:
        return _ABSENT
