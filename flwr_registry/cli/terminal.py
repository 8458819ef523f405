"""All that reaches a terminal: no text from outside sets it or forges a line."""

from __future__ import annotations

import json
import sys
from typing import Any

import typer
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from flwr_registry.errors import SearchError
from flwr_registry.shown_text import one_line

__all__ = [
    "console",
    "error_lines",
    "json_text",
    "print_lines",
    "print_rich",
    "tell",
]

# A pipe has no width: lines are as long as their content wants.
_PIPE_WIDTH = 240


def console() -> Console:
    """Return a console on stdout."""
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)


def print_rich(what: RenderableType) -> None:
    """Print text, a table, a panel or a tree on stdout; each text in it on one line."""
    console().print(_shown(what))


def print_lines(text: str) -> None:
    """Print lines on stdout for other programs, each of them whole."""
    typer.echo("\n".join(map(one_line, text.split("\n"))))


def tell(*lines: str, color: str | None = None) -> None:
    """Say something on stderr, a line each."""
    for line in lines:
        typer.secho(one_line(line), fg=color, err=True)


def error_lines(error: Exception) -> list[str]:
    """Return what an error says: one line, but where it points into a search."""
    points = isinstance(error, SearchError) and error.position is not None
    return str(error).split("\n") if points else [str(error)]


def json_text(content: Any, *, indent: int | None = None) -> str:
    """Return JSON in which every character is printed."""
    text = json.dumps(content, indent=indent, allow_nan=False)
    return text.replace("\x7f", "\\u007f")


def _shown(what: Any) -> Any:
    match what:
        case str():
            return Text(one_line(what))
        case Text():
            return what if what.plain.isprintable() else _shown_text(what)
        case Table():
            for column in what.columns:
                column.header = _shown(column.header)
                column._cells = [_shown(cell) for cell in column._cells]
            what.title = what.title and _shown(what.title)
        case Tree():
            what.label = _shown(what.label)
            for child in what.children:
                _shown(child)
        case Panel():
            what.renderable = _shown(what.renderable)
            what.title = what.title and _shown(what.title)
        case Group():
            return Group(*map(_shown, what.renderables))
        case _:
            raise TypeError(f"{type(what).__name__}: what texts it shows is not known")
    return what


def _shown_text(text: Text) -> Text:
    """Return a text by its characters, each in its style."""
    pieces = text.divide(range(1, len(text)))
    for piece in pieces:
        piece.plain = one_line(piece.plain)
    return Text("", text.style).join(pieces)
