"""Requests that arrive together are predicted together, by one version."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flwr_registry.errors import PredictionError
from flwr_registry.serving.daemon_executor import DaemonExecutor
from flwr_registry.serving.input_schema import NamedArrays, named_inputs
from flwr_registry.serving.predictor import Predictor

__all__ = ["MicroBatcher", "NotServingError", "Prediction", "QueueFullError"]

Observe = Callable[[Predictor, NamedArrays, NamedArrays], None]


class QueueFullError(PredictionError):
    """More requests wait than the server takes."""


class NotServingError(PredictionError):
    """No version is served at the moment, or none any more."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Outputs, and who made them."""

    predictor: Predictor
    outputs: NamedArrays


@dataclass(frozen=True, slots=True)
class _Job:
    inputs: NamedArrays
    rows: int
    done: asyncio.Future[Prediction]


class MicroBatcher:
    """Collects requests for a moment, and predicts for all that are alike at once.

    A request that comes alone does not wait. Each that was taken gets its answer, or an
    error, whenever the batcher is stopped.

    Parameters
    ----------
    current : callable
        Gives the predictor at the moment when a batch is begun, None for none.
    observe : callable
        Sees inputs and outputs of each batch.
    max_delay_seconds : float
        How long a batch waits for more requests, when some came together before.
    max_batch_rows : int
        A batch that has so many examples begins at once; one request may have more.
    max_queued : int
        Requests that may wait; those beyond are refused.
    """

    def __init__(
        self,
        current: Callable[[], Predictor | None],
        observe: Observe = lambda *_: None,
        *,
        max_delay_seconds: float = 0.002,
        max_batch_rows: int = 256,
        max_queued: int = 256,
    ) -> None:
        self._current = current
        self._observe = observe
        self._max_delay_seconds = max_delay_seconds
        self._max_batch_rows = max_batch_rows
        self._max_queued = max_queued
        self._jobs: deque[_Job] = deque()
        self._arrived = asyncio.Event()
        self._under_way: Sequence[_Job] = ()
        self._thread = DaemonExecutor("flwr-registry-predict")
        self._task: asyncio.Task[None] | None = None
        self._is_stopped = False

    @property
    def num_queued(self) -> int:
        """Requests that wait."""
        return len(self._jobs)

    def start(self) -> None:
        """Begin, in the running event loop.

        Raises
        ------
        NotServingError
            After `stop`: what began once does not begin again.
        """
        self._refuse_if_stopped()
        self._task = asyncio.create_task(self._work())

    async def stop(self, timeout_seconds: float | None = None) -> None:
        """Answer what is under way and what waits, and end; what comes later fails.

        Parameters
        ----------
        timeout_seconds : float, optional
            How long answers may take; what has none then fails.
        """
        self._is_stopped = True
        self._arrived.set()
        if self._task is not None:
            # Those whose callers have gone are not waited for.
            asked = {job.done for job in (*self._under_way, *self._jobs)}
            if asked:
                await asyncio.wait(asked, timeout=timeout_seconds)
            self._task.cancel()
            await asyncio.wait({self._task})
        self._refuse_waiting()
        self._thread.shutdown(wait=False)

    async def predict(self, inputs: NamedArrays) -> Prediction:
        """Predict for one request.

        Raises
        ------
        QueueFullError
            When too many wait.
        NotServingError
            When no version is served, or the batcher was stopped.
        InvalidInputError, PredictionError
            As `Predictor.predict` does.
        """
        self._refuse_if_stopped()
        if len(self._jobs) >= self._max_queued:
            raise QueueFullError(f"{self._max_queued} requests wait already")
        rows = max(1, *(len(each) if each.ndim else 1 for each in inputs.values()))
        job = _Job(inputs, rows, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._arrived.set()
        return await job.done

    async def _work(self) -> None:
        came_together = False
        try:
            while self._jobs or not self._is_stopped:
                await self._arrived.wait()
                if came_together and not self._is_enough():
                    await asyncio.sleep(self._max_delay_seconds)
                jobs = self._taken()
                came_together = len(jobs) > 1
                if jobs:
                    await self._answer(jobs)
        finally:
            # Also when the event loop ends, or an error of ours does.
            self._is_stopped = True
            self._refuse_waiting()

    async def _answer(self, jobs: Sequence[_Job]) -> None:
        loop = asyncio.get_running_loop()
        made: Sequence[Prediction | Exception] = [_stopped()] * len(jobs)
        self._under_way = jobs
        try:
            made = await loop.run_in_executor(self._thread, self._predict_all, jobs)
        except Exception as error:  # noqa: BLE001
            # Whatever it is, those that come after are served.
            made = [error] * len(jobs)
        finally:
            _hand_back(jobs, made)

    def _refuse_if_stopped(self) -> None:
        if self._is_stopped:
            raise _stopped()

    def _refuse_waiting(self) -> None:
        _hand_back(self._jobs, [_stopped()] * len(self._jobs))
        self._jobs.clear()

    def _is_enough(self) -> bool:
        """Whether nothing is to be gained by waiting for more."""
        if self._is_stopped or not self._max_delay_seconds:
            return True
        return sum(job.rows for job in self._jobs) >= self._max_batch_rows

    def _taken(self) -> list[_Job]:
        taken: list[_Job] = []
        rows = 0
        while self._jobs and (
            not taken or rows + self._jobs[0].rows <= self._max_batch_rows
        ):
            job = self._jobs.popleft()
            # One whose caller has gone is not worth the work.
            if not job.done.done():
                taken.append(job)
                rows += job.rows
        if not self._jobs:
            self._arrived.clear()
        return taken

    def _predict_all(self, jobs: Sequence[_Job]) -> list[Prediction | Exception]:
        predictor = self._current()
        if predictor is None:
            return [NotServingError("no version is served")] * len(jobs)
        made: dict[int, Prediction | Exception] = {}
        for alike in _grouped(jobs):
            outcomes = self._predict_alike(predictor, alike)
            made |= dict(zip(map(id, alike), outcomes, strict=True))
        return [made[id(job)] for job in jobs]

    def _predict_alike(
        self, predictor: Predictor, jobs: Sequence[_Job]
    ) -> list[Prediction | Exception]:
        if len(jobs) > 1:
            together = {
                name: np.concatenate([job.inputs[name] for job in jobs])
                for name in jobs[0].inputs
            }
            made = self._predict(predictor, together)
            if isinstance(made, Prediction):
                parts = _split(made.outputs, jobs)
                if parts is not None:
                    return [Prediction(predictor, part) for part in parts]
        # One bad request must not fail its neighbours.
        return [self._predict(predictor, job.inputs) for job in jobs]

    def _predict(
        self, predictor: Predictor, inputs: NamedArrays
    ) -> Prediction | Exception:
        try:
            fitted = named_inputs(inputs, predictor.schema)
            outputs = predictor.run(fitted)
        except Exception as error:  # noqa: BLE001
            return error
        self._observe(predictor, fitted, outputs)
        return Prediction(predictor, outputs)


def _grouped(jobs: Iterable[_Job]) -> list[list[_Job]]:
    """Put jobs together whose inputs can be joined along their first axis."""
    groups: dict[Any, list[_Job]] = {}
    for job in jobs:
        form: Any = tuple(
            (name, each.dtype.str, each.shape[1:]) for name, each in job.inputs.items()
        )
        lengths = {each.shape[:1] for each in job.inputs.values()}
        if len(lengths) != 1 or () in lengths:
            form = id(job)
        groups.setdefault(form, []).append(job)
    return list(groups.values())


def _split(outputs: NamedArrays, jobs: Sequence[_Job]) -> list[NamedArrays] | None:
    """Cut outputs at the borders of the requests; None when rows are not examples."""
    ends = np.cumsum([len(next(iter(job.inputs.values()))) for job in jobs])
    if any(each.shape[:1] != (ends[-1],) for each in outputs.values()):
        return None
    parts = {name: np.split(each, ends[:-1]) for name, each in outputs.items()}
    return [
        {name: pieces[place] for name, pieces in parts.items()}
        for place in range(len(jobs))
    ]


def _stopped() -> NotServingError:
    return NotServingError("predictions have ended: the server is being stopped")


def _hand_back(jobs: Iterable[_Job], made: Sequence[Prediction | Exception]) -> None:
    for job, outcome in zip(jobs, made, strict=True):
        if job.done.done():
            continue
        if isinstance(outcome, Exception):
            job.done.set_exception(outcome)
        else:
            job.done.set_result(outcome)
