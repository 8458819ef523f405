"""One call of a strategy's hook, however its arguments were given."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

__all__ = ["HookCall"]


class HookCall:
    """A call that is still to be made, exactly as it was asked for.

    Arguments are found by their name in Flower, given by position or keyword, also
    where the strategy has other names for them, takes ``*args``, or adds some.

    Parameters
    ----------
    hook : callable
        The strategy's own.
    parameters : sequence of str
        Flower's names of the arguments, in order; without any, only their names tell.
    """

    def __init__(
        self,
        hook: Callable[..., Any],
        parameters: Sequence[str],
        args: Sequence[Any],
        kwargs: dict[str, Any],
    ) -> None:
        self.hook = hook
        self._parameters = parameters
        self._args = list(args)
        self._kwargs = kwargs
        self._names: list[str] = []
        self._defaults: dict[str, Any] = {}
        with suppress(TypeError, ValueError):
            self._read(inspect.signature(hook))

    def __call__(self) -> Any:
        """Make the call, once."""
        return self.hook(*self._args, **self._kwargs)

    def __contains__(self, name: str) -> bool:
        return self._place_of(name) is not None

    def __getitem__(self, name: str) -> Any:
        """Return an argument; None when it is not given."""
        place = self._place_of(name)
        if place is None:
            return None
        return self._kwargs[place] if isinstance(place, str) else self._args[place]

    def __setitem__(self, name: str, value: Any) -> None:
        """Give another argument in place of one; what is not given stays so."""
        place = self._place_of(name)
        if isinstance(place, str):
            self._kwargs[place] = value
        elif place is not None:
            self._args[place] = value

    def given_or_default(self, name: str) -> Any:
        """Return an argument; when it is not given what the hook takes for it."""
        return self[name] if name in self else self._defaults.get(name)

    @property
    def server_round(self) -> int:
        """The round, counted from 1; 0 when the call does not tell."""
        server_round = self["server_round"]
        return 0 if server_round is None else int(server_round)

    def then(self, finish: Callable[[Any], Any]) -> Any:
        """Make the call and finish what it gives, which may have to be awaited."""
        result = self()
        if not inspect.isawaitable(result):
            return finish(result)
        return _finished(result, finish)

    def answer(self, value: Any) -> Any:
        """Return a value as the hook would, which is not called."""
        if inspect.iscoroutinefunction(self.hook):
            return _given(value)
        return value

    def _read(self, signature: inspect.Signature) -> None:
        """Learn the hook's own names, and give by position what it takes only so."""
        self._names = [
            each.name
            for each in signature.parameters.values()
            if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        ]
        self._defaults = {
            name: each.default
            for name, each in signature.parameters.items()
            if each.default is not each.empty
        }
        try:
            signature.bind(*self._args, **self._kwargs)
        except TypeError:
            left = self._parameters[len(self._args) :]
            by_position = [self._kwargs[name] for name in left if name in self._kwargs]
            others = {k: v for k, v in self._kwargs.items() if k not in left}
            signature.bind(*self._args, *by_position, **others)
            self._args, self._kwargs = [*self._args, *by_position], others

    def _place_of(self, name: str) -> str | int | None:
        if name in self._kwargs:
            return name
        if name in self._names:
            position = self._names.index(name)
        elif name in self._parameters:
            position = self._parameters.index(name)
            own_name = self._names[position : position + 1]
            if own_name and own_name[0] in self._parameters:
                return None
            if own_name and own_name[0] in self._kwargs:
                return own_name[0]
        else:
            return None
        return position if position < len(self._args) else None


async def _finished(result: Awaitable[Any], finish: Callable[[Any], Any]) -> Any:
    return finish(await result)


async def _given(value: Any) -> Any:
    return value
