"""The model of a checkpoint or version, until a new round has given another."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from flwr_registry.errors import ResumeError
from flwr_registry.strategy.aggregate import Buffers, same_buffers

__all__ = ["ResumedModel", "Sketch", "made_of", "sketch_of"]

Sketch = tuple[tuple[int, int], ...]

_SAMPLE_BYTES = 4096
_SAMPLES = 16


class ResumedModel:
    """What the first new round has to train, whoever sends it.

    Servers take a model from where they like: what the aggregate hooks hand back, what
    the strategy initialized, or what they hold themselves. Most get the checkpoint's
    in one of these ways; the others hold the model that the run once began with.

    Parameters
    ----------
    origin : str
        Where the run begins or goes on, for an error.
    make : callable
        Makes the model as Flower has it. Those made before may have been drained.
    buffers : tuple of bytes
        Its bytes.
    made_of_it : str
        What the server made of it then, as `made_of` tells; empty where it sent it as
        it was.
    """

    def __init__(
        self,
        origin: str,
        make: Callable[[], Any],
        buffers: Buffers,
        made_of_it: str = "",
    ) -> None:
        self._origin = origin
        self._make = make
        self._buffers = buffers
        self._made_of_it = made_of_it
        self._began_with: Sketch | None = None

    def note_beginning(self, buffers: Buffers) -> None:
        """Remember what the model that the run began with is like."""
        if buffers and self._began_with is None and not self._is(buffers):
            self._began_with = sketch_of(buffers)

    def stands_for(self, buffers: Buffers, *, was_taken: bool) -> bool:
        """Tell whether the checkpoint's model has to take the place of another.

        Parameters
        ----------
        was_taken : bool
            The server took a model of the rounds before from the strategy: one that is
            neither the checkpoint's nor the first is then what the user made of it.

        Raises
        ------
        ResumeError
            When the server made something else of the checkpoint's model before the
            run was interrupted.
        """
        if self._is(buffers):
            return False
        if self._made_of_it:
            self._check_made(buffers)
            return False
        return not was_taken or self._is_beginning(buffers)

    def _check_made(self, buffers: Buffers) -> None:
        if made_of(buffers, self._buffers) != self._made_of_it:
            raise ResumeError(
                f"the run {self._origin}, but the server made another model of what "
                "the strategy aggregates, and sent that on; from the rounds that are "
                "done it does not make the same again, since it needs more than their "
                "models. Let the strategy's aggregate be the model that is sent on, "
                "and keep what it takes in attributes of the strategy; or start anew "
                "with resume=False and another run name"
            )

    def model(self) -> Any:
        """Return the checkpoint's model as Flower has it."""
        return self._make()

    def check_sent(self, sent: Iterable[Buffers]) -> None:
        """See that the strategy does not send the first model of the run.

        Raises
        ------
        ResumeError
            When it does, and to no node the checkpoint's.
        """
        began = False
        for buffers in sent:
            if self._is(buffers):
                return
            began = began or self._is_beginning(buffers)
        if began:
            raise ResumeError(
                f"the run {self._origin}, but the strategy sends the model that it "
                "began with: it holds one of its own, beside its state. Let it send "
                "the model that its configure hook is given, or keep it in an "
                "attribute as an ArrayRecord, Parameters or numpy arrays, which "
                "checkpoints hold; or start anew with resume=False and another run name"
            )

    def _is(self, buffers: Buffers) -> bool:
        return same_buffers(buffers, self._buffers) or buffers == self._buffers

    def _is_beginning(self, buffers: Buffers) -> bool:
        return self._began_with is not None and self._began_with == sketch_of(buffers)


def made_of(held: Buffers, model: Buffers) -> str:
    """Return a sketch of what a server holds, empty where that is the model itself."""
    if not held or same_buffers(held, model) or held == model:
        return ""
    return hashlib.sha256(repr(sketch_of(held)).encode()).hexdigest()


def sketch_of(buffers: Buffers) -> Sketch:
    """Return what tells a model from another without holding or hashing all of it."""
    return tuple((len(data), _checksum(data)) for data in buffers)


def _checksum(data: bytes) -> int:
    """Read some bytes all over a buffer, its first and last among them."""
    view, checksum = memoryview(data), 0
    last = max(len(data) - _SAMPLE_BYTES, 0)
    for sample in range(_SAMPLES):
        start = last * sample // (_SAMPLES - 1)
        checksum = zlib.crc32(view[start : start + _SAMPLE_BYTES], checksum)
        if last == 0:
            break
    return checksum
