"""What belongs to one wrapped strategy: its hooks, and how each is recorded."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import wraps
from types import FrameType, MethodType
from typing import TYPE_CHECKING, Any

from flwr_registry.strategy.hooks.hook_call import HookCall

if TYPE_CHECKING:
    from flwr_registry.strategy.round_recorder import RoundRecorder

__all__ = ["RecordedHook", "Wrapping", "dictionary_of", "wrapping_of"]


@dataclass(frozen=True, slots=True)
class RecordedHook:
    """How one hook of Flower's is recorded.

    Attributes
    ----------
    record : callable
        Takes the wrapped strategy and the `HookCall`, makes the call, and returns what
        Flower gets.
    parameters : tuple of str
        Names of the hook's arguments in Flower's order; empty where a strategy may
        order them as it likes.
    is_loop : bool
        It calls other hooks, which are to be recorded too: it runs on the wrapper. All
        others run on the strategy itself, as if it were bare.
    is_inside_the_loop : bool
        It is recorded wrongly when another strategy calls it.
    """

    record: Callable[[Any, HookCall], Any]
    parameters: tuple[str, ...]
    is_loop: bool = False
    is_inside_the_loop: bool = False


@dataclass(slots=True, eq=False)
class Wrapping:
    """What belongs to one wrapped strategy.

    Attributes
    ----------
    strategy : object
        The user's own.
    registry_class : type
        `RegistryStrategy` or a class derived from it.
    hooks : mapping of str to RecordedHook
        What is recorded, by name.
    check_caller : callable
        Told the wrapper, the hook's name and the frame that calls it.
    recorder : RoundRecorder or None
        None until the wrapper's constructor has run.
    """

    strategy: Any
    registry_class: Any
    hooks: Mapping[str, RecordedHook]
    check_caller: Callable[[Any, str, FrameType | None], None]
    recorder: RoundRecorder | None = None
    _under_way: set[tuple[str, int]] = field(default_factory=set)
    _lent: dict[str, Any] = field(default_factory=dict)

    def bound(self, wrapped: Any, name: str) -> Any:
        """Return a hook, as it is defined now, together with its recording.

        Raises
        ------
        AttributeError
            When the strategy has none of this name.
        """
        own, hook = getattr(self.strategy, name), self.hooks[name]
        if own is self._lent.get(name):
            return own
        lends_hooks = hook.is_loop
        is_method = isinstance(own, MethodType) and own.__self__ is self.strategy
        if hook.is_loop and is_method:
            own, lends_hooks = MethodType(own.__func__, wrapped), False

        def recorded(*args: Any, **kwargs: Any) -> Any:
            running = name, threading.get_ident()
            if running in self._under_way:
                # A hook that calls itself is one hook to Flower.
                return own(*args, **kwargs)
            if hook.is_inside_the_loop:
                self.check_caller(wrapped, name, sys._getframe(1))
            self._under_way.add(running)
            try:
                with self._hooks_lent(wrapped) if lends_hooks else nullcontext():
                    call = HookCall(own, hook.parameters, args, kwargs)
                    return hook.record(wrapped, call)
            finally:
                self._under_way.discard(running)

        return wraps(own)(recorded)

    @contextmanager
    def _hooks_lent(self, wrapped: Any) -> Iterator[None]:
        """Give the strategy recorded hooks, as long as a loop runs on it.

        A function that was assigned for a loop knows the strategy, not the wrapper.
        """
        attributes = dictionary_of(self.strategy)
        if attributes is None:
            yield
            return
        before = {name: attributes.get(name) for name in self.hooks}
        for name, hook in self.hooks.items():
            if not hook.is_loop and hasattr(self.strategy, name):
                self._lent[name] = self.bound(wrapped, name)
        attributes.update(self._lent)
        try:
            yield
        finally:
            for name, recorded in self._lent.items():
                if attributes.get(name) is not recorded:
                    continue
                if before[name] is None:
                    del attributes[name]
                else:
                    attributes[name] = before[name]
            self._lent.clear()


def wrapping_of(wrapped: Any) -> Wrapping:
    """Return what belongs to a wrapped strategy.

    It hangs on the class that was made for this one object, so that the dictionary
    that both share holds the strategy's own attributes only.
    """
    wrapping: Wrapping = type(wrapped)._flwr_registry
    return wrapping


def dictionary_of(strategy: Any) -> dict[str, Any] | None:
    """Return the dictionary of a strategy; None where all lies in slots."""
    try:
        shared: dict[str, Any] = object.__getattribute__(strategy, "__dict__")
    except AttributeError:
        return None
    return shared
