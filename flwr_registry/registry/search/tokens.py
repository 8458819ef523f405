"""The words of a search expression, and how to point at one of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from flwr_registry.errors import SearchError
from flwr_registry.shown_text import one_line

__all__ = ["Token", "TokenKind", "search_error", "tokenize"]

_MAX_CHARACTERS = 10_000
_SHOWN_CHARACTERS = 70

_PATTERN = re.compile(
    r"""(?P<SPACE>\s+)
    |(?P<MARK>[(),])
    |(?P<OPERATOR>!=|<=|>=|=|<|>)
    |(?P<QUOTED>'(?:[^']|'')*'|"(?:[^"]|"")*")
    |(?P<WORD>[\w.:+/@%-]+)""",
    re.VERBOSE,
)


class TokenKind(Enum):
    """What a token is."""

    MARK = auto()
    OPERATOR = auto()
    QUOTED = auto()
    WORD = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the expression.

    Attributes
    ----------
    text : str
        As it is meant: without its quotes.
    start, end : int
        Its place in the expression.
    """

    kind: TokenKind
    text: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these keywords, in any case."""
        return self.kind is TokenKind.WORD and self.text.lower() in words


def tokenize(expression: str) -> list[Token]:
    """Cut an expression into tokens, the last of which is its end.

    Raises
    ------
    SearchError
        For a character that no token begins with, an open quote, or a text without end.
    """
    if len(expression) > _MAX_CHARACTERS:
        raise SearchError(f"a search has at most {_MAX_CHARACTERS} characters")
    tokens, position = [], 0
    while position < len(expression):
        found = _PATTERN.match(expression, position)
        if found is None:
            raise _unreadable(expression, position)
        position = found.end()
        if found.lastgroup != "SPACE":
            tokens.append(_token(TokenKind[str(found.lastgroup)], found))
    tokens.append(Token(TokenKind.END, "", position, position))
    return tokens


def search_error(expression: str, start: int, end: int, problem: str) -> SearchError:
    """Say what is wrong, and point at it below the expression."""
    first = max(0, start - _SHOWN_CHARACTERS // 2)
    shown = "".join(
        each if each.isprintable() else " "
        for each in expression[first : first + _SHOWN_CHARACTERS]
    )
    width = max(1, min(end, first + len(shown)) - start)
    pointer = " " * (start - first) + "^" * width
    message = f"{one_line(problem)}\n  {shown}\n  {pointer} (position {start + 1})"
    return SearchError(message, position=start)


def _token(kind: TokenKind, found: re.Match[str]) -> Token:
    text = found.group()
    if kind is TokenKind.QUOTED:
        quote = text[0]
        text = text[1:-1].replace(quote * 2, quote)
    return Token(kind, text, found.start(), found.end())


def _unreadable(expression: str, position: int) -> SearchError:
    character = expression[position]
    if character in "'\"":
        problem = f"the quote {character} is never closed"
        return search_error(expression, position, len(expression), problem)
    problem = f"{character!r} means nothing here; put texts in single quotes"
    return search_error(expression, position, position + 1, problem)
