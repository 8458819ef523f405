"""Texts from outside, shown on one line."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_registry.shown_text import OneLineLogger, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b-ü 漢 \u00a0", "a b-ü 漢 \u00a0"),
        ("a\nb\r\x1b[0m", r"a\nb\r\x1b[0m"),
        ("\u202eb\u2066\ud800\x7f\x9b", r"\u202eb\u2066\ud800\x7f\x9b"),
    ],
)
def test_what_is_not_printed_is_shown(text, shown):
    assert one_line(text) == shown


@given(st.text(st.characters(exclude_categories=())))
def test_one_line_is_one_line(text):
    shown = one_line(text)
    assert one_line(shown) == shown
    assert len(shown.splitlines()) <= 1
    shown.encode()


def test_a_log_line_is_one_line_and_says_where_it_is_from(caplog):
    logger = OneLineLogger("hostile")
    caplog.set_level(logging.DEBUG, "hostile")
    logger.warning("node %s of %d: 100%%", "a\n\x1b[0m", 3)
    logger.info("done 100%")
    try:
        raise ValueError("b\n\x1b[0m")
    except ValueError as error:
        logger.error("it failed", exc_info=error)
    texts = [record.getMessage() for record in caplog.records]
    assert texts[:3] == [r"node a\n\x1b[0m of 3: 100%", "done 100%", "it failed"]
    assert texts[-1] == r"  \x1b[0m"
    assert all(text.isprintable() for text in texts)
    assert {record.filename for record in caplog.records} == {"test_shown_text.py"}


class Unshowable(Exception):
    """An error whose text raises."""

    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("message", "values", "shown"),
    [
        ("of %(a)s", [{"a": 1}], "of 1"),
        ("it is %s", [Unshowable()], "it is %s (its values cannot be shown)"),
        ("%d rounds", ["x"], "%d rounds (its values cannot be shown)"),
        ("%s and %s", ["x"], "%s and %s (its values cannot be shown)"),
        (Unshowable(), [], "Unshowable (it cannot be shown)"),
    ],
)
def test_a_message_that_cannot_be_written_raises_nothing(
    caplog, message, values, shown
):
    OneLineLogger("hostile").warning(message, *values)
    assert [record.getMessage() for record in caplog.records] == [shown]
