"""Trouble of the registry, kept away from training."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from flwr_registry.errors import FencedError, RunHeldError, StorageOwnerError
from flwr_registry.shown_text import OneLineLogger

__all__ = ["LOGGER", "Tolerance"]

LOGGER = OneLineLogger("flwr")
"""Flower's own log, so that the registry's lines stand among the round's."""


class Tolerance:
    """Decides what becomes of an error in storage, database or recording.

    Parameters
    ----------
    on_error : {"warn", "raise"}
        ``"warn"`` logs it and lets training go on, ``"raise"`` lets it through.

    Attributes
    ----------
    troubles : list of str
        What went wrong so far; empty when all was well.
    """

    def __init__(self, on_error: str) -> None:
        self._raises = on_error == "raise"
        self.troubles: list[str] = []
        self._counted: Exception | None = None
        self._has_place = True

    @contextmanager
    def __call__(self, action: str) -> Iterator[None]:
        """Run a block that training must survive.

        Parameters
        ----------
        action : str
            What the block does, to complete "could not".
        """
        try:
            yield
        except (FencedError, RunHeldError, StorageOwnerError) as error:
            self._lose_place(error)
            if self._raises:
                raise
        except Exception as error:
            # What is raised by one block passes through those around it.
            if error is not self._counted:
                self.troubles.append(f"{action}: {error}")
            if self._raises:
                self._counted = error
                raise
            LOGGER.warning(
                "registry: could not %s: %s (%s). Training goes on.",
                action,
                # As text: who keeps log records must not keep the frames' models.
                str(error),
                type(error).__name__,
            )
            for line in traceback.format_exc().splitlines():
                LOGGER.debug("registry: %s", line)

    def _lose_place(self, error: Exception) -> None:
        """Say once that nothing more is written: the run or storage is another's."""
        if not self._has_place:
            return
        self._has_place = False
        self.troubles.append(f"write any more: {error}")
        if not self._raises:
            LOGGER.error(
                "registry: %s. Training goes on; none of it is registered or saved.",
                str(error),
            )
