r"""The patterns of ``like``, alike on every database.

``%`` stands for any characters, ``_`` for one, and a backslash takes the meaning from
what follows. ``like`` regards case; ``ilike`` does not for the letters A to Z.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, collate, func, literal

__all__ = ["matches"]

_PIECE = re.compile(r"\\(.)|([%_])|(.)", re.DOTALL)
_ASCII_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_GLOB_MARKS = {"%": "*", "_": "?"}


def matches(
    text: ColumnElement[Any], pattern: str, *, any_case: bool, postgresql: bool
) -> ColumnElement[bool]:
    """Compare a text with a pattern.

    Parameters
    ----------
    any_case : bool
        Do not regard the case of the letters A to Z.
    postgresql : bool
        Which database will be asked: SQLite's own LIKE never regards case.
    """
    if any_case:
        pattern = pattern.translate(_ASCII_LOWER)
        text = func.lower(collate(text, "C") if postgresql else text)
    if postgresql:
        escaped = "".join(_like_piece(*piece) for piece in _pieces(pattern))
        return text.like(literal(escaped), escape="\\")
    globbed = "".join(_glob_piece(*piece) for piece in _pieces(pattern))
    return text.op("GLOB", is_comparison=True)(literal(globbed))


def _pieces(pattern: str) -> Iterator[tuple[str, bool]]:
    """Cut a pattern into characters, and whether each is a wildcard."""
    for escaped, wildcard, plain in _PIECE.findall(pattern):
        yield (wildcard, True) if wildcard else (escaped or plain, False)


def _like_piece(character: str, wildcard: bool) -> str:
    return "\\" + character if not wildcard and character in "\\%_" else character


def _glob_piece(character: str, wildcard: bool) -> str:
    if wildcard:
        return _GLOB_MARKS[character]
    return f"[{character}]" if character in "*?[" else character
