"""Reading search expressions by recursive descent.

::

    expression  = conjunction { "or" conjunction }
    conjunction = factor { "and" factor }
    factor      = "not" factor | "(" expression ")" | comparison
    comparison  = field operator value | field "in" "(" value { "," value } ")"
                | truth field
    field       = NAME | ("tags" | "metrics" | source) "." (NAME | QUOTED)
    operator    = "=" | "!=" | "<" | "<=" | ">" | ">=" | "like" | "ilike"
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flwr_registry.errors import SearchError, did_you_mean
from flwr_registry.registry.rows.json_values import plain_text
from flwr_registry.registry.search.expressions import (
    All,
    Comparison,
    Expression,
    Negation,
    Some,
)
from flwr_registry.registry.search.fields import (
    FIELDS,
    KEYED_FIELDS,
    Field,
    Kind,
    read_value,
)
from flwr_registry.registry.search.tokens import (
    Token,
    TokenKind,
    search_error,
    tokenize,
)

__all__ = ["parse_expression", "parse_field"]

_MAX_DEPTH = 50
_MAX_COMPARISONS = 200
_KEYWORDS = ("and", "or", "not", "in", "like", "ilike")


def parse_expression(text: str, now: datetime) -> Expression:
    """Read an expression; an empty one matches everything.

    Parameters
    ----------
    now : datetime
        From which relative times count back.

    Raises
    ------
    SearchError
        Showing the place, and what was expected there.
    """
    return _Parser(text, now).parse()


def parse_field(text: str) -> tuple[Field, str]:
    """Read the one field that `text` begins with, and the word after it.

    Returns
    -------
    field : Field
        The field.
    word : str
        In lower case, empty when nothing follows.

    Raises
    ------
    SearchError
        When it begins with no field, or something else follows.
    """
    parser = _Parser(text)
    field = parser.field()
    following = parser.take()
    if following.kind is TokenKind.END:
        return field, ""
    if parser.token.kind is not TokenKind.END:
        raise parser.unexpected("the end")
    return field, following.text.lower()


class _Parser:
    """Walks over the tokens of one text."""

    def __init__(self, text: str, now: datetime | None = None) -> None:
        self._text = text
        self._now = now or datetime.now(UTC)
        self._tokens = tokenize(text)
        self._next = 0
        self._depth = 0
        self._comparisons = 0

    @property
    def token(self) -> Token:
        """The one to look at."""
        return self._tokens[self._next]

    def take(self) -> Token:
        """Go on to the following token, and return the one before it."""
        taken = self.token
        if taken.kind is not TokenKind.END:
            self._next += 1
        return taken

    def unexpected(self, expected: str) -> SearchError:
        """Say what should have stood here."""
        token = self.token
        found = "the end" if token.kind is TokenKind.END else repr(token.text)
        return self._error(token, f"expected {expected}, found {found}")

    def parse(self) -> Expression:
        """Read the whole text."""
        if self._tokens[0].kind is TokenKind.END:
            return All(())
        expression = self._disjunction()
        if self.token.kind is not TokenKind.END:
            raise self.unexpected("'and', 'or' or the end")
        return expression

    def field(self) -> Field:
        """Read a field with its key."""
        token = self.token
        if token.kind is not TokenKind.WORD or token.is_word(*_KEYWORDS):
            raise self.unexpected("a field, such as status or metrics.accuracy")
        self.take()
        name, dot, key = token.text.partition(".")
        end = token.end
        if dot and not key and self._follows_at_once(end):
            quoted = self.take()
            key, end = quoted.text, quoted.end
        field = Field(name, plain_text(key) if dot else None, token.start, end)
        self._check_field(field)
        return field

    def _follows_at_once(self, end: int) -> bool:
        return self.token.kind is TokenKind.QUOTED and self.token.start == end

    def _check_field(self, field: Field) -> None:
        known = field.name in (FIELDS if field.key is None else KEYED_FIELDS)
        if known and field.key != "":
            return
        if field.name in KEYED_FIELDS:
            problem = (
                f"{field.name} needs a name: {field.name}.NAME, or "
                f'{field.name}."odd name"'
            )
        elif field.name in FIELDS:
            problem = f"{field.name} has no parts"
        else:
            names = [*FIELDS, *(f"{name}.NAME" for name in KEYED_FIELDS)]
            # A metric or a tag may have any name.
            as_keys = [f"metrics.{field.name}", f"tags.{field.name}"]
            near = did_you_mean(field.name, names, possible=as_keys)
            problem = f"unknown field {field.name!r}; {near}"
        raise search_error(self._text, field.start, field.end, problem)

    def _disjunction(self) -> Expression:
        operands = self._joined("or", self._conjunction)
        return operands[0] if len(operands) == 1 else Some(tuple(operands))

    def _conjunction(self) -> Expression:
        operands = self._joined("and", self._factor)
        return operands[0] if len(operands) == 1 else All(tuple(operands))

    def _joined(self, word: str, operand: Callable[[], Expression]) -> list[Expression]:
        operands = [operand()]
        while self.token.is_word(word):
            self.take()
            operands.append(operand())
        return operands

    def _factor(self) -> Expression:
        opening = self.token
        parenthesis = opening.kind is TokenKind.MARK and opening.text == "("
        if not parenthesis and not opening.is_word("not"):
            return self._comparison()
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._error(opening, f"nested more than {_MAX_DEPTH} deep")
        self.take()
        inner = self._disjunction() if parenthesis else Negation(self._factor())
        if parenthesis:
            self._expect_mark(")")
        self._depth -= 1
        return inner

    def _comparison(self) -> Comparison:
        field = self.field()
        self._comparisons += 1
        if self._comparisons > _MAX_COMPARISONS:
            problem = f"a search has at most {_MAX_COMPARISONS} comparisons"
            raise search_error(self._text, field.start, field.end, problem)
        operator = self._operator(field)
        if operator is None:
            return Comparison(field, "=", True)
        if operator == "in":
            return Comparison(field, "in", self._values(field))
        return Comparison(field, operator, self._value(field))

    def _operator(self, field: Field) -> str | None:
        """Read an operator; none may follow a field that is true or false."""
        allowed = field.kind.operators
        token = self.token
        written = token.text.lower()
        if token.kind is not TokenKind.OPERATOR and not token.is_word(*_KEYWORDS[3:]):
            if field.kind is Kind.TRUTH:
                return None
            raise self.unexpected(f"one of {' '.join(allowed)} after {field.name}")
        if written not in allowed:
            hint = ""
            if field.kind is Kind.NODE and written == "!=":
                hint = ": write not node = 'x'"
            raise self._error(
                token,
                f"{field.name} knows {' '.join(allowed)}, but not {written}{hint}",
            )
        self.take()
        return written

    def _values(self, field: Field) -> tuple[Any, ...]:
        self._expect_mark("(")
        values = [self._value(field)]
        while self.token.kind is TokenKind.MARK and self.token.text == ",":
            self.take()
            values.append(self._value(field))
        self._expect_mark(")")
        return tuple(values)

    def _value(self, field: Field) -> Any:
        token = self.token
        word = token.kind is TokenKind.WORD and not token.is_word(*_KEYWORDS)
        if not word and token.kind is not TokenKind.QUOTED:
            raise self.unexpected("a value")
        try:
            value = read_value(field.kind, token.text, self._now)
        except ValueError as error:
            raise self.unexpected(f"{error} for {field.name}") from error
        self.take()
        return value

    def _expect_mark(self, mark: str) -> None:
        if self.token.kind is not TokenKind.MARK or self.token.text != mark:
            raise self.unexpected(repr(mark))
        self.take()

    def _error(self, token: Token, problem: str) -> SearchError:
        return search_error(self._text, token.start, token.end, problem)
