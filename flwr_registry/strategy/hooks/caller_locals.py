"""What a function under way has in its variables, without keeping it alive."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["locals_of"]


@contextmanager
def locals_of(frame: FrameType) -> Iterator[Mapping[str, Any]]:
    """Look at the local variables of a function that is under way.

    Before Python 3.13 (PEP 667) a frame keeps a copy of what it was asked for until
    its function returns: a loop over rounds would hold the replies of the one in which
    somebody looked.

    Parameters
    ----------
    frame : frame
        Of the function; the variables are seen as they are now.
    """
    seen = frame.f_locals
    try:
        yield seen
    finally:
        # Only functions have copies; a module's or class's variables are the real ones.
        if frame.f_code.co_flags & inspect.CO_OPTIMIZED and type(seen) is dict:
            seen.clear()
