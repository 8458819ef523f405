"""Texts from outside as they are shown: on one line, nothing that a terminal obeys."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any

__all__ = ["OneLineLogger", "one_line"]


def one_line(text: str) -> str:
    r"""Return a text with all that is not printed shown by its escape.

    Nodes, apps and files choose names and reasons. Control characters could set a
    terminal, newlines could forge a line, marks of direction and width could let a text
    read as another: they become ``\x1b``, ``\n``, ``\u202e``.
    """
    if text.isprintable():
        return text
    return "".join(
        each
        if each.isprintable() or (each.isspace() and each in "\u00a0\u202f\u3000")
        else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


class OneLineLogger(logging.LoggerAdapter[logging.Logger]):
    """Writes each message, whatever stands in it, on one line.

    Parameters
    ----------
    name : str
        Of the log that is written to.
    """

    def __init__(self, name: str) -> None:
        super().__init__(logging.getLogger(name), {})

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Write a message; an error that goes with it takes a line of each of its."""
        if not self.isEnabledFor(level):
            return
        text = _text_of(level, msg, args)
        error = kwargs.pop("exc_info", None)
        # The caller of the method that called this one.
        where = {"stacklevel": kwargs.pop("stacklevel", 1) + 1, **kwargs}
        for line in (text, *_lines_of(error)):
            self.logger.log(level, "%s", one_line(line), **where)


def _text_of(level: int, msg: object, args: tuple[object, ...]) -> str:
    """Return the text of a message; what cannot be shown must not end who logs it."""
    try:
        return logging.LogRecord("", level, "", 0, msg, args, None).getMessage()
    except Exception:  # noqa: BLE001
        if isinstance(msg, str):
            return f"{msg} (its values cannot be shown)"
        return f"{type(msg).__name__} (it cannot be shown)"


def _lines_of(error: Any) -> list[str]:
    if not error:
        return []
    if not isinstance(error, BaseException):
        error = error[1] if isinstance(error, tuple) else sys.exc_info()[1]
    whole = "".join(traceback.format_exception(error)) if error else ""
    return [f"  {line}" for line in whole.splitlines()]
