"""A search expression, once it is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flwr_registry.registry.search.fields import Field

__all__ = ["All", "Comparison", "Expression", "Negation", "Some", "fields_of"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field against a value, or against several for ``in``.

    A version that has no such value matches no comparison, not even ``!=``.
    """

    field: Field
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class Negation:
    """What does not match the operand."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class All:
    """What matches every operand; everything when there is none."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """What matches at least one operand."""

    operands: tuple[Expression, ...]


Expression = Comparison | Negation | All | Some


def fields_of(expression: Expression) -> Iterator[Field]:
    """Go through all fields of an expression, from left to right."""
    match expression:
        case Comparison(field):
            yield field
        case Negation(operand):
            yield from fields_of(operand)
        case All(operands) | Some(operands):
            for operand in operands:
                yield from fields_of(operand)
