"""Values of a document that somebody else may have written, each of its type."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

__all__ = ["MAX_NUMBER", "counted_from", "of_type", "record_like"]

Record = TypeVar("Record")

MAX_NUMBER = 2**31 - 1


def of_type(kind: Any, value: Any) -> Any:
    """Return a value that has a type; a truth value is no number.

    Raises
    ------
    TypeError
        When it has another.
    """
    is_mistaken = isinstance(value, bool) and kind is not bool
    if is_mistaken or not isinstance(value, kind):
        raise TypeError(f"{str(value)[:40]!r} is no {kind}")
    return value


def counted_from(least: int, value: Any) -> int:
    """Return a whole number that databases can hold.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    if not least <= of_type(int, value) <= MAX_NUMBER:
        raise ValueError(f"{value} is out of range")
    return int(value)


def record_like(pattern: Record, said: Any) -> Record:
    """Make a record of the kind of `pattern`, each field of the type that it has there.

    Raises
    ------
    TypeError
        For fields that it does not have, or of another type.
    """
    made: Record = replace(pattern, **of_type(dict, said))  # type: ignore[type-var]
    for each in fields(pattern):  # type: ignore[arg-type]
        of_type(type(getattr(pattern, each.name)), getattr(made, each.name))
    return made
