"""The class that is made for one wrapped strategy, and its one object."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable, Iterable, Mapping
from copy import copy, deepcopy
from types import FrameType, FunctionType, MemberDescriptorType
from typing import Any

from flwr_registry.errors import StrategyError
from flwr_registry.strategy.hooks.wrapping import (
    RecordedHook,
    Wrapping,
    dictionary_of,
    wrapping_of,
)

__all__ = ["make_wrapper"]


def make_wrapper(
    strategy: Any,
    registry_class: type,
    hooks: Mapping[str, RecordedHook],
    check_caller: Callable[[Any, str, FrameType | None], None],
) -> Any:
    """Make a class for a strategy, and its object on the same attributes.

    The class derives from the strategy's own and from `registry_class`, and is made
    without any code of the user's: neither ``__init_subclass__`` nor a metaclass hears
    of it. It carries the name of the strategy's class, compares equal to it, and is
    what ``__class__`` gives.

    Parameters
    ----------
    hooks : mapping of str to RecordedHook
        What is recorded, by name.
    check_caller : callable
        Told the wrapper, the hook's name and the frame that calls it.

    Raises
    ------
    StrategyError
        When the strategy is built on a type whose contents two objects cannot share.
    """
    inner = type(strategy)
    passed_over = _methods_that_pass_over(inner)
    after = _pass_over(inner, passed_over)
    namespace: dict[str, Any] = {
        **{name: _FollowingBase(after, name) for name in passed_over},
        **{name: _SharedSlot(slot) for name, slot in _slots_of(inner).items()},
        **{name: _HookAttribute(name) for name in hooks},
        **_special_methods(inner, hooks),
        "__module__": inner.__module__,
        "__qualname__": inner.__qualname__,
        "__doc__": inner.__doc__,
        "_flwr_registry": Wrapping(strategy, registry_class, hooks, check_caller),
    }
    made = _class_without_hooks(
        _metaclass_for(inner, registry_class),
        inner.__name__,
        (after, inner, registry_class),
        namespace,
    )
    try:
        wrapped = object.__new__(made)
    except TypeError as error:
        raise StrategyError(
            f"{inner.__name__} is built on a type of Python's own, whose contents "
            "cannot be shared with a wrapper: hold it as an attribute instead"
        ) from error
    shared = dictionary_of(strategy)
    if shared is not None:
        object.__setattr__(wrapped, "__dict__", shared)
    return wrapped


class _HookAttribute:
    """A hook of the wrapper; what is assigned to it becomes the strategy's own.

    As it defines ``__set__``, it goes before a hook that lies in the dictionary that
    wrapper and strategy share.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, wrapped: Any, owner: Any = None) -> Any:
        if wrapped is None:
            return getattr(type(owner._flwr_registry.strategy), self._name)
        return wrapping_of(wrapped).bound(wrapped, self._name)

    def __set__(self, wrapped: Any, value: Any) -> None:
        object.__setattr__(wrapping_of(wrapped).strategy, self._name, value)

    def __delete__(self, wrapped: Any) -> None:
        object.__delattr__(wrapping_of(wrapped).strategy, self._name)


class _SharedSlot:
    """An attribute that lies in a slot of the strategy, which has no dictionary."""

    def __init__(self, slot: Any) -> None:
        self._slot = slot

    def __get__(self, wrapped: Any, owner: Any = None) -> Any:
        if wrapped is None:
            return self._slot
        return self._slot.__get__(wrapping_of(wrapped).strategy)

    def __set__(self, wrapped: Any, value: Any) -> None:
        self._slot.__set__(wrapping_of(wrapped).strategy, value)

    def __delete__(self, wrapped: Any) -> None:
        self._slot.__delete__(wrapping_of(wrapped).strategy)


class _FollowingBase:
    """What follows a class in the order of bases has under a name, at this moment."""

    def __init__(self, after: type, name: str) -> None:
        self._after = after
        self._name = name

    def __get__(self, wrapped: Any, owner: Any = None) -> Any:
        return getattr(
            super(self._after, owner if wrapped is None else wrapped), self._name
        )


def _pass_over(inner: type, methods: Iterable[str]) -> type:
    """Make the base between the made class and the strategy's own.

    ``super(type(self), self).method()`` in a method of the strategy's class means its
    next base, but starts after the made class, and so would find the same method again.
    This base has such methods, and they are those of the next base.
    """
    namespace: dict[str, Any] = {name: _FollowingBase(inner, name) for name in methods}
    # Python calls the one of the next base for each new class.
    namespace["__init_subclass__"] = classmethod(lambda cls, **_: None)
    return type("PassOver", (), namespace)


def _methods_that_pass_over(inner: type) -> list[str]:
    """Return the methods of a class that may say ``super(type(self), self)``."""
    return [
        name
        for name, method in vars(inner).items()
        if isinstance(method, FunctionType)
        and {"super", "type"} <= set(method.__code__.co_names)
    ]


def _special_methods(inner: type, hooks: Mapping[str, RecordedHook]) -> dict[str, Any]:
    methods: dict[str, Any] = {
        "__class__": property(
            lambda wrapped: type(wrapping_of(wrapped).strategy),
            lambda wrapped, kind: setattr(
                wrapping_of(wrapped).strategy, "__class__", kind
            ),
        ),
        # `type(self)(...)` makes a strategy of the user's class.
        "__new__": lambda made, *args, **kwargs: inner(*args, **kwargs),
        "__init__": _initialize,
        "__reduce_ex__": lambda wrapped, _: (_wrap_again, _parts_of(wrapped)),
        "__copy__": lambda wrapped: _wrap_again(*_parts_of(wrapped, copy)),
        "__deepcopy__": lambda wrapped, memo: _wrap_again(
            *_parts_of(wrapped, lambda strategy: deepcopy(strategy, memo))
        ),
    }
    own_reading: Any = inner.__getattribute__
    if own_reading is not object.__getattribute__:
        methods["__getattribute__"] = _asking_hooks_first(own_reading, hooks)
    if hasattr(inner, "__del__"):
        # What the strategy holds is let go of when the strategy is.
        methods["__del__"] = lambda wrapped: None
    return methods


def _initialize(wrapped: Any, *args: Any, **kwargs: Any) -> None:
    wrapping = wrapping_of(wrapped)
    if wrapping.recorder is None:
        wrapping.registry_class.__init__(wrapped, *args, **kwargs)
    else:
        # A strategy that calls its own constructor to start afresh.
        type(wrapping.strategy).__init__(wrapping.strategy, *args, **kwargs)


def _asking_hooks_first(
    read: Callable[[Any, str], Any], hooks: Mapping[str, RecordedHook]
) -> Callable[[Any, str], Any]:
    def getattribute(wrapped: Any, name: str) -> Any:
        if name in hooks:
            return wrapping_of(wrapped).bound(wrapped, name)
        if name == "__class__":
            return type(wrapping_of(wrapped).strategy)
        return read(wrapped, name)

    return getattribute


def _parts_of(
    wrapped: Any, duplicate: Callable[[Any], Any] = lambda strategy: strategy
) -> tuple[type, Any, Any]:
    wrapping = wrapping_of(wrapped)
    assert wrapping.recorder is not None
    strategy = duplicate(wrapping.strategy)
    return wrapping.registry_class, strategy, wrapping.recorder.options


def _wrap_again(registry_class: Any, strategy: Any, options: Any) -> Any:
    return registry_class._wrap_with(strategy, options)


def _class_without_hooks(
    metaclass: type, name: str, bases: tuple[type, ...], namespace: dict[str, Any]
) -> Any:
    """Make a class as Python alone makes it, past what metaclasses of users add."""
    make = ABCMeta.__new__ if issubclass(metaclass, ABCMeta) else type.__new__
    return make(metaclass, name, bases, namespace)


def _metaclass_for(inner: type, registry_class: type) -> type:
    """Make the metaclass: attributes set on the class are the strategy's class's."""
    own = type(inner)
    bases = (own,) if issubclass(own, type(registry_class)) else (type(registry_class),)

    def is_same(made: Any, other: Any) -> bool:
        return other is made or other is inner

    def set_on(made: Any, name: str, value: Any) -> None:
        if name.startswith(("__", "_abc_")):
            type.__setattr__(made, name, value)
        else:
            setattr(inner, name, value)

    namespace: dict[str, Any] = {
        "__setattr__": set_on,
        "__delattr__": lambda made, name: delattr(inner, name),
        "__eq__": is_same,
        "__hash__": lambda made: hash(inner),
        "__module__": own.__module__,
    }
    return type.__new__(type(bases[0]), bases[0].__name__, bases, namespace)


def _slots_of(inner: type) -> dict[str, Any]:
    """Return the slots of a class and its bases that no attribute of a class hides."""
    found: dict[str, Any] = {}
    for each in reversed(inner.__mro__):
        found.update(vars(each))
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, MemberDescriptorType)
    }
