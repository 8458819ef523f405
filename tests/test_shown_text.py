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
