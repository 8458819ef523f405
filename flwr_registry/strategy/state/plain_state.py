"""What a strategy carries from round to round, as plain data.

It is a tree that JSON can hold and named arrays; never a pickle. In a tree, numbers,
text, truth values, None and lists stand for themselves; everything else is an object
whose first key starts with ``$`` and says what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from flwr.server.strategy import Strategy as LegacyStrategy
from flwr.serverapp.strategy import Strategy as MessageStrategy
from numpy.typing import NDArray

__all__ = [
    "STATE_FORMAT",
    "Beginning",
    "StrategyState",
    "has_state_dict",
    "is_accountant",
    "is_strategy",
    "may_change",
    "rebinds_arrays",
    "speaks_message_api",
]

STATE_FORMAT = 2
"""Of the tree; the first knew no classes, no shared objects and no torch."""

_MESSAGE_HOOKS = ("configure_train", "aggregate_train")
_LEGACY_HOOKS = ("configure_fit", "aggregate_fit")

_SMALL_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StrategyState:
    """The state of a strategy as plain data.

    Attributes
    ----------
    tree : object
        What JSON can hold; arrays are named in it.
    arrays : mapping of str to numpy.ndarray
        Views where the strategy holds bytes, its own arrays otherwise.
    left_out : tuple of str
        Attributes that changed and that no checkpoint can hold, as dotted paths.
    late : tuple of str
        Attributes whose state is held, but can only be given to an object that the
        strategy did not have when the run began.
    """

    tree: Any
    arrays: Mapping[str, NDArray[Any]]
    left_out: tuple[str, ...] = ()
    late: tuple[str, ...] = ()


@dataclass(slots=True)
class Beginning:
    """What a strategy was before training.

    Attributes
    ----------
    settings : mapping
        Values by path that come from the constructor as long as they stay.
    classes : mapping of str to type
        Of the objects by path: what a strategy that is built again has too.
    prints : mapping of str to bytes
        Fingerprints by path of what no checkpoint can hold, and of what lies on the
        strategy's own classes.
    changed : set of str
        Paths of those that are known to have changed since.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    classes: dict[str, type] = field(default_factory=dict)
    prints: dict[str, bytes] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)

    def learn_objects(self, later: Beginning) -> None:
        """Take in the objects that were made since, of what was not there before."""
        self.classes = {**later.classes, **self.classes}
        self.prints = {**later.prints, **self.prints}


def is_strategy(value: Any) -> bool:
    """Whether a value is a strategy of either of Flower's APIs."""
    return isinstance(value, MessageStrategy | LegacyStrategy)


def speaks_message_api(value: Any) -> bool | None:
    """Tell of which of Flower's APIs a strategy is; None for what is no strategy.

    An object that has the hooks is one, whatever it derives from: so are strategies
    that hand everything on to another by ``__getattr__``.
    """
    if isinstance(value, type):
        return None
    if is_strategy(value):
        return isinstance(value, MessageStrategy)
    for hooks, is_message in (_MESSAGE_HOOKS, True), (_LEGACY_HOOKS, False):
        if all(callable(getattr(value, hook, None)) for hook in hooks):
            return is_message
    return None


def has_state_dict(value: Any) -> bool:
    """Whether a value gives and takes its state, as torch's modules do."""
    kind: type = type(value)
    return not isinstance(value, type) and _takes_state(kind)


def is_accountant(value: Any) -> bool:
    """Whether a value adds up a privacy budget, as Flower's accountants do."""
    kind: type = type(value)
    if isinstance(value, type) or not _adds_up_a_budget(kind):
        return False
    return not is_strategy(value)


# A strategy may hold very many objects of few classes.
@lru_cache(maxsize=1024)
def _takes_state(kind: type) -> bool:
    return _offers(kind, "state_dict") and _offers(kind, "load_state_dict")


@lru_cache(maxsize=1024)
def _adds_up_a_budget(kind: type) -> bool:
    if _offers(kind, "get_epsilon") or _offers(kind, "get_privacy_spent"):
        return True
    is_named_so = "accountant" in kind.__name__.lower()
    return _takes_state(kind) and (is_named_so or _offers(kind, "compose"))


def _offers(kind: type, method: str) -> bool:
    return callable(getattr(kind, method, None))


def rebinds_arrays(strategy: Any) -> bool:
    """Whether a strategy only ever binds new arrays, as Flower's own do."""
    return type(strategy).__module__.split(".")[0] == "flwr"


def may_change(array: NDArray[Any], *, rebinds: bool) -> bool:
    """Whether an array could be changed in place, so that only a copy stands still.

    Parameters
    ----------
    rebinds : bool
        Its owner binds new arrays; a small one is not worth trusting that.
    """
    return array.flags.writeable and not (rebinds and array.nbytes > _SMALL_BYTES)
