"""Taking the state out of a strategy."""

from __future__ import annotations

from enum import Enum
from typing import Any

from flwr_registry.strategy.state.attributes import (
    attributes_of,
    class_attributes_of,
    users_classes_of,
)
from flwr_registry.strategy.state.fingerprints import fingerprint
from flwr_registry.strategy.state.known_classes import KnownClasses, class_name_of
from flwr_registry.strategy.state.named_arrays import StateArrays
from flwr_registry.strategy.state.plain_forms import PLAIN_FORMS
from flwr_registry.strategy.state.plain_state import (
    STATE_FORMAT,
    Beginning,
    StrategyState,
    rebinds_arrays,
)
from flwr_registry.strategy.state.stateless import is_stateless
from flwr_registry.strategy.state.tree_writing import NoPlainFormError, ValueWriter

__all__ = ["beginning_of", "export_state"]

_SETTINGS = (bool, int, float, str, type(None), *PLAIN_FORMS)
_NOTHING = object()


def export_state(strategy: Any, *, beginning: Beginning | None = None) -> StrategyState:
    """Take the state out of a strategy and of those it wraps.

    What comes out stands still while training goes on. Functions are the user's
    configuration and silently left to the constructor.

    Parameters
    ----------
    beginning : Beginning, optional
        What `beginning_of` gave before training. Plain attributes that still are what
        they were then are left to the constructor too, so that a resumed run may have
        other settings; what no checkpoint can hold is named only when it changed; and
        what lies on the strategy's own classes is state when it changed.
    """
    exporter = _Exporter(strategy, beginning, copies=True)
    tree = {**exporter.write_strategy(strategy, ""), "$format": STATE_FORMAT}
    unheld = exporter.unheld.items()
    left_out = tuple(path for path, value in unheld if exporter.is_news(path, value))
    return StrategyState(tree, exporter.arrays.found, left_out, tuple(exporter.late))


def beginning_of(strategy: Any) -> Beginning:
    """Note what a strategy is before training."""
    beginning = Beginning()
    exporter = _Exporter(strategy, beginning, copies=False)
    exporter.write_strategy(strategy, "")
    for path, value in exporter.unheld.items():
        beginning.prints[path] = fingerprint(value)
    return beginning


class _Exporter:
    """Writes strategies and the attributes of objects.

    Attributes
    ----------
    unheld : dict
        Values without plain form, by path.
    late : list of str
        Paths of states whose object was not there at the beginning.
    """

    def __init__(
        self, strategy: Any, beginning: Beginning | None, *, copies: bool
    ) -> None:
        self.unheld: dict[str, Any] = {}
        self.late: list[str] = []
        self.arrays = StateArrays(copies=copies)
        self._beginning = beginning
        self._begins = not copies
        self._known = KnownClasses(strategy)
        self._writer = ValueWriter(self.arrays, self)

    def write_strategy(self, owner: Any, path: str) -> dict[str, Any]:
        """Write a strategy: its attributes, and what lies on its classes."""
        tree: dict[str, Any] = {}
        self._writer.remember(owner, tree)
        outer, self._writer.rebinds = self._writer.rebinds, rebinds_arrays(owner)
        try:
            self._write_attributes(attributes_of(owner), path, tree)
            on_classes = self._write_classes(owner)
        finally:
            self._writer.rebinds = outer
        if on_classes:
            tree["$class"] = on_classes
        return tree

    def write_fields(self, owner: Any, path: str) -> dict[str, Any]:
        """Write the attributes of an object."""
        tree: dict[str, Any] = {}
        self._write_attributes(attributes_of(owner), path, tree)
        return tree

    def has_place(self, value: Any, path: str) -> bool:
        """Whether a later start can make the object, or has one of its class there."""
        kind, name = type(value), class_name_of(type(value))
        if isinstance(value, Enum):
            can_be_made = self._known.find_enum(name) is kind
        else:
            can_be_made = self._known.find(name) is kind
        return self._is_there(kind, path) or can_be_made

    def note_object(self, value: Any, path: str) -> None:
        """Take note of an object whose state only one that is there can take."""
        if not self._is_there(type(value), path) and self._beginning is not None:
            self.late.append(path)

    def _is_there(self, kind: type, path: str) -> bool:
        if self._beginning is None:
            return False
        if self._begins:
            self._beginning.classes[path] = kind
        return self._beginning.classes.get(path) is kind

    def is_news(self, path: str, value: Any) -> bool:
        """Whether a value without plain form is not what it was at the beginning."""
        if is_stateless(value):
            return False
        beginning = self._beginning
        if beginning is None or path in beginning.changed:
            return True
        if beginning.prints.get(path) == fingerprint(value):
            return False
        beginning.changed.add(path)
        return True

    def _write_attributes(
        self, attributes: dict[str, Any], path: str, tree: dict[str, Any]
    ) -> None:
        for name, value in attributes.items():
            place = f"{path}{name}"
            if is_stateless(value) or self._is_setting(place, value):
                continue
            self._write(name, value, place, tree)

    def _write(self, name: str, value: Any, place: str, tree: dict[str, Any]) -> None:
        try:
            tree[name] = self._writer.attempt(value, place)
        except NoPlainFormError:
            self.unheld[place] = value

    def _is_setting(self, path: str, value: Any) -> bool:
        """Whether a plain value is what it was; at the beginning it is taken for it."""
        kind, beginning = type(value), self._beginning
        is_plain = kind in _SETTINGS
        if beginning is None or not (is_plain or isinstance(value, Enum)):
            return False
        if self._begins:
            beginning.settings[path] = value
        before = beginning.settings.get(path, _NOTHING)
        return before is value or (
            is_plain and type(before) is kind and bool(before == value)
        )

    def _write_classes(self, owner: Any) -> dict[str, dict[str, Any]]:
        """Write what changed on a strategy's own classes since the beginning."""
        if self._beginning is None:
            return {}
        trees: dict[str, dict[str, Any]] = {}
        for kind, of in users_classes_of(owner).items():
            tree = trees.setdefault(class_name_of(of), {})
            for name, value in class_attributes_of(kind).items():
                place = f"{of.__qualname__}.{name}"
                if is_stateless(value) or name in tree:
                    continue
                if self._begins:
                    self._beginning.prints[place] = fingerprint(value)
                    self._write(name, value, place, {})
                elif self._beginning.prints.get(place) != fingerprint(value):
                    self._write(name, value, place, tree)
        return {name: tree for name, tree in trees.items() if tree}
