"""Reading expressions, and pointing at what is wrong with them."""

from datetime import UTC, datetime, timedelta

import pytest

from flwr_registry.errors import SearchError
from flwr_registry.registry.search.expressions import (
    All,
    Comparison,
    Negation,
    Some,
    fields_of,
)
from flwr_registry.registry.search.parser import parse_expression
from flwr_registry.registry.versions.version_manager import SemVer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def parsed(text):
    return parse_expression(text, NOW)


def plain(expression):
    """Without places, to compare shapes."""
    match expression:
        case Comparison(field, operator, value):
            return (field.name, field.key, operator, value)
        case Negation(operand):
            return ("not", plain(operand))
        case All(operands):
            return ("and", *map(plain, operands))
        case Some(operands):
            return ("or", *map(plain, operands))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("and",)),
        ("metrics.accuracy > 0.9", ("metrics", "accuracy", ">", 0.9)),
        ("metrics.accuracy>-1e-3", ("metrics", "accuracy", ">", -0.001)),
        ("metrics.a.b = 1", ("metrics", "a.b", "=", 1.0)),
        ('metrics."top-5 \'x\' ""y" = 1', ("metrics", "top-5 'x' \"y", "=", 1.0)),
        ("tags.site = 'it''s'", ("tags", "site", "=", "it's")),
        ("tags.site = x", ("tags", "site", "=", "x")),
        ("version >= 1.10.0", ("version", None, ">=", SemVer(1, 10, 0))),
        ("created > 7d", ("created", None, ">", NOW - timedelta(days=7))),
        (
            "created < 2026-02-01",
            ("created", None, "<", datetime(2026, 2, 1, tzinfo=UTC)),
        ),
        (
            "created < '2026-02-01T12:00:00+02:00'",
            ("created", None, "<", datetime(2026, 2, 1, 10, tzinfo=UTC)),
        ),
        ("production", ("production", None, "=", True)),
        ("pinned = FALSE", ("pinned", None, "=", False)),
        ("status IN (active, 'failed')", ("status", None, "in", ("active", "failed"))),
        ("model iLike 'D%'", ("model", None, "ilike", "D%")),
        (
            "production or pinned and not withdrawn",
            (
                "or",
                ("production", None, "=", True),
                (
                    "and",
                    ("pinned", None, "=", True),
                    ("not", ("withdrawn", None, "=", True)),
                ),
            ),
        ),
        (
            "(production or pinned) and not not withdrawn",
            (
                "and",
                ("or", ("production", None, "=", True), ("pinned", None, "=", True)),
                ("not", ("not", ("withdrawn", None, "=", True))),
            ),
        ),
    ],
)
def test_expressions_mean_what_they_say(text, expected):
    assert plain(parsed(text)) == expected


def test_fields_come_from_left_to_right():
    found = fields_of(parsed("tags.a = x or not (metrics.b > 1 and pinned)"))
    assert [(field.name, field.key) for field in found] == [
        ("tags", "a"),
        ("metrics", "b"),
        ("pinned", None),
    ]


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("statsu = active", 0, "did you mean status"),
        ("size > 1 nad pinned", 9, "expected 'and', 'or' or the end, found 'nad'"),
        ("size >", 6, "expected a value, found the end"),
        ("size > big", 7, "expected a finite number, such as 0.9 for size"),
        ("size > 1e999", 7, "finite number"),
        ("size > and", 7, "expected a value, found 'and'"),
        ("size like '1%'", 5, "size knows = != < <= > >= in, but not like"),
        ("size", 4, "expected one of = != < <= > >= in after size"),
        ("node != 'a'", 5, "write not node = 'x'"),
        ("status = good", 9, "candidate, active, archived, failed"),
        ("version = 1.4", 10, "such as 1.4.0"),
        ("created > yesterday", 10, "7d"),
        ("created > 999999w", 10, "a time"),
        ("pinned = maybe", 9, "true or false"),
        ("(pinned", 7, "expected ')'"),
        ("pinned)", 6, "found ')'"),
        ("status in active", 10, "expected '('"),
        ("status in ()", 11, "expected a value"),
        ("model = 'x", 8, "never closed"),
        ("model = 'x'; drop", 11, "';' means nothing here"),
        ("metrics > 1", 0, "metrics.NAME"),
        ("metrics. > 1", 0, "metrics.NAME"),
        ("size.x > 1", 0, "size has no parts"),
        ("and pinned", 0, "expected a field"),
        ("not", 3, "expected a field"),
        ("'model' = x", 0, "expected a field"),
    ],
)
def test_errors_show_the_place_and_what_was_expected(text, position, said):
    with pytest.raises(SearchError) as caught:
        parsed(text)
    assert said in str(caught.value)
    assert caught.value.position == position
    shown, pointer = str(caught.value).splitlines()[-2:]
    assert shown == f"  {text}"
    assert pointer.index("^") == position + 2


def test_a_place_far_into_a_long_expression_is_shown_alone():
    text = " or ".join(["pinned"] * 50) + " or \x1b[31mbad"
    with pytest.raises(SearchError) as caught:
        parsed(text)
    shown, pointer = str(caught.value).splitlines()[-2:]
    assert len(shown) <= 72
    assert "\x1b" not in str(caught.value)
    assert shown[pointer.index("^") + 1 :].startswith("[31mbad")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 2000 + "pinned" + ")" * 2000,
        "not " * 2000 + "pinned",
        " or ".join(["pinned"] * 201),
        "x" * 10_001,
    ],
)
def test_expressions_have_limits(text):
    with pytest.raises(SearchError, match=r"at most|deep"):
        parsed(text)
