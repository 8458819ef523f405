"""A user's code, which may try to end the process that runs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flwr_registry.errors import PredictionError

__all__ = ["contained"]


@contextmanager
def contained(what: str) -> Iterator[None]:
    """Make an error of what would end this process or, without a word, its thread.

    A script without a main guard calls `sys.exit` when it is imported.

    Parameters
    ----------
    what : str
        What the user's code is run for; the message begins with it.

    Raises
    ------
    PredictionError
        For `SystemExit` and its like. A `KeyboardInterrupt` in the main thread is the
        user's own.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        in_main_thread = threading.current_thread() is threading.main_thread()
        if isinstance(error, KeyboardInterrupt) and in_main_thread:
            raise
        raise PredictionError(
            f"{what} tried to end the process: {type(error).__name__}({error}). What a "
            "module does when it is run belongs under if __name__ == '__main__'"
        ) from error
