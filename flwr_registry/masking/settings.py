"""Settings as they are recorded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, Literal, get_args

from flwr_registry.masking.secret_names import is_secret_name
from flwr_registry.masking.secret_texts import MASK, masked_text

__all__ = ["MASK", "RecordConfig", "masked_settings", "recorded_settings"]

RecordConfig = Literal["none", "names", "masked"]
"""How much of a configuration is recorded."""

_MAX_DEPTH = 40
# Of a value that stands under many names, each place counts.
_MOST_VALUES = 10_000
# An item of a list that names the next one, as in a command line.
_OPTION = re.compile(r"[-/]{0,2}([^\W\d][\w.-]{0,80})[:=]?")
# The keys of a mapping that is one setting, as in {"name": "lr", "value": 0.1}.
_NAMING = {"name", "key", "id", "field", "option", "setting", "parameter", "param"}
_NAMED = {"value", "values", "val", "content", "default", "data", "text"}


def recorded_settings(
    settings: Mapping[str, Any], record: RecordConfig
) -> dict[str, Any]:
    """Return what is recorded of settings, for the record to mask.

    Parameters
    ----------
    record : {"none", "names", "masked"}
        Nothing, their names with ``***`` for each value, or all: the record that takes
        them writes no secrets.

    Raises
    ------
    ValueError
        For any other choice.
    """
    if record not in get_args(RecordConfig):
        raise ValueError(f"record is 'none', 'names' or 'masked', not {record!r}")
    if record == "none":
        return {}
    return dict(settings) if record == "masked" else _names_of(settings, 0, _places())


def masked_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without secrets; never fails, and masks nothing twice.

    A value goes by its name or by its text. Numbers, truth values and texts of words
    stay as they are. What is nested too deep, or comes after very many values, is
    masked.
    """
    return _masked_mapping(settings, 0, _places())


def _places() -> Iterator[int]:
    """Count down the values that may be looked through; then there are none."""
    return iter(range(_MOST_VALUES, 0, -1))


def _masked_mapping(
    settings: Mapping[Any, Any], depth: int, left: Iterator[int]
) -> dict[str, Any]:
    pairs = [(_text_of(name), value) for name, value in settings.items()]
    given = [value for name, value in pairs if name.casefold() in _NAMING]
    return {
        masked_text(name): _masked(
            _name_of(value, given if name.casefold() in _NAMED else [], name),
            value,
            depth,
            left,
        )
        for name, value in pairs
    }


def _masked_items(
    name: str, values: Iterable[Any], depth: int, left: Iterator[int]
) -> list[Any]:
    items = list(values)
    return [
        _masked(
            _name_of(each, items[max(0, place - 1) : place], name), each, depth, left
        )
        for place, each in enumerate(items)
    ]


def _name_of(value: Any, given: list[Any], name: str) -> str:
    """Return the secret name among those given beside a value, else its own name."""
    if isinstance(value, str) and value.startswith("--"):
        return name
    for each in given:
        found = _OPTION.fullmatch(each) if isinstance(each, str) else None
        if found and is_secret_name(found[1], value):
            return found[1]
    return name


def _masked(name: str, value: Any, depth: int, left: Iterator[int]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if not next(left, 0) or depth > _MAX_DEPTH or is_secret_name(name, value):
        return MASK
    return _masked_value(name, value, depth, left)


def _masked_value(name: str, value: Any, depth: int, left: Iterator[int]) -> Any:
    match value:
        case int() | float():
            return value
        case str():
            return masked_text(value)
        case Mapping():
            return _masked_mapping(value, depth + 1, left)
        case list() | tuple() | Set():
            items = _masked_items(name, value, depth + 1, left)
            return tuple(items) if isinstance(value, tuple) else items
    text = _text_of(value)
    masked = masked_text(text)
    return value if masked == text else masked


def _text_of(value: Any) -> str:
    try:
        return value if isinstance(value, str) else str(value)
    except Exception:  # noqa: BLE001
        return MASK


def _names_of(
    settings: Mapping[str, Any], depth: int, left: Iterator[int]
) -> dict[str, Any]:
    return {
        name: _names_of(value, depth + 1, left)
        if isinstance(value, Mapping) and depth < _MAX_DEPTH and next(left, 0)
        else MASK
        for name, value in settings.items()
    }
