"""The program ``flwr-registry``; ``python -m flwr_registry`` where none is on the path.

It imports nothing before it is called: Ctrl-C ends it with 130 while it imports, too.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> None:
    """Run a command of the command line, and end the process.

    Ctrl-C ends it with 130: at once while there is nothing to clear up, which is before
    the command begins and after it has ended; else when the command has cleared up.
    """
    # Who started it may have said that Ctrl-C is not for it.
    heeds = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeds:
        signal.signal(signal.SIGINT, _end)
    from flwr_registry.cli import app

    try:
        if heeds:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        app(prog_name="flwr-registry")
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    finally:
        if heeds:
            signal.signal(signal.SIGINT, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
