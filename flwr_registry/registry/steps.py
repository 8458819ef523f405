"""Verbs as steps: each is written once, and either blocks or is awaited.

A verb is a generator. It yields what touches the outside, a transaction or work on
stored bytes, and is sent the result; whoever runs it decides how to wait. What failed
is raised inside the generator, so that it can undo what it began.

A step that began ends: its result is sent before a cancellation is raised, which
happens where the next step stands, unless that one is always done. So a generator
knows of all that it did, and what stands under ``try`` after a step can take it back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.orm import Session

__all__ = [
    "FAILURES",
    "ByteWork",
    "Reading",
    "Step",
    "Steps",
    "Writing",
    "byte_work",
    "read",
    "write",
]

Result = TypeVar("Result")

FAILURES = (Exception, KeyboardInterrupt, asyncio.CancelledError)
"""Whatever ends a step. After `GeneratorExit` no step could undo anything."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Work in a transaction that only reads."""

    work: Callable[[Session], Any]


@dataclass(frozen=True, slots=True)
class Writing:
    """Work in a transaction that may write, committed when it returns.

    Attributes
    ----------
    always : bool
        It takes back or finishes what an earlier step did, and is done also when the
        verb was cancelled meanwhile.
    """

    work: Callable[[Session], Any]
    always: bool = False


@dataclass(frozen=True, slots=True)
class ByteWork:
    """Work on stored bytes or arrays, too long for an event loop.

    Attributes
    ----------
    always : bool
        As for `Writing`.
    """

    work: Callable[[], Any]
    always: bool = False


Step = Reading | Writing | ByteWork
Steps = Generator[Step, Any, Result]


def read(work: Callable[[Session], Result]) -> Steps[Result]:
    """Return what `work` finds in one state of the database."""
    result: Result = yield Reading(work)
    return result


def write(work: Callable[[Session], Result], *, always: bool = False) -> Steps[Result]:
    """Return what `work` returns, once its transaction is committed."""
    result: Result = yield Writing(work, always)
    return result


def byte_work(work: Callable[[], Result], *, always: bool = False) -> Steps[Result]:
    """Return what `work` does with bytes, outside any transaction."""
    result: Result = yield ByteWork(work, always)
    return result
