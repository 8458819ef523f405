"""Requests that arrive together."""

import asyncio
import threading

import numpy as np
import pytest

from flwr_registry import InputSchema, Predictor
from flwr_registry.errors import InvalidInputError
from flwr_registry.serving.micro_batcher import MicroBatcher, NotServingError

SCHEMA = InputSchema.of({"x": np.zeros((1, 2), np.float32)})


@pytest.fixture
def batches(registry):
    return []


@pytest.fixture
def predictor(registry, batches):
    registry.register({"w": np.ones(1)}, model="digits")

    def predict(weights, inputs):
        batches.append(len(inputs))
        return inputs * 2

    return Predictor(
        "digits@latest",
        predict=predict,
        registry=registry,
        schema=SCHEMA,
        warm_up=False,
    )


def asked(current, requests, **options):
    """Ask all at once; return outcomes in the order of the requests."""

    async def work():
        batcher = MicroBatcher(lambda: current, **options)
        batcher.start()
        asking = [batcher.predict({"x": np.asarray(each)}) for each in requests]
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        await batcher.stop()
        return outcomes

    return asyncio.run(work())


def test_each_gets_its_own_answer(predictor, batches):
    requests = [
        np.full((1 + number % 3, 2), number, np.float32) for number in range(40)
    ]
    outcomes = asked(predictor, requests)
    for number, outcome in enumerate(outcomes):
        np.testing.assert_array_equal(outcome.outputs["output"], requests[number] * 2)
    assert len(batches) < len(requests)


def test_batches_are_bounded(predictor, batches):
    asked(predictor, [np.zeros((3, 2), np.float32)] * 20, max_batch_rows=7)
    assert max(batches) == 6


def test_one_larger_than_a_batch_is_still_answered(predictor, batches):
    (outcome,) = asked(predictor, [np.zeros((50, 2), np.float32)], max_batch_rows=7)
    assert outcome.outputs["output"].shape == (50, 2)


def test_a_bad_request_fails_alone(predictor):
    good, bad = np.zeros((1, 2), np.float32), np.zeros((1, 3), np.float32)
    outcomes = asked(predictor, [good, bad, good, np.float32(1), good])
    kinds = [isinstance(each, InvalidInputError) for each in outcomes]
    assert kinds == [False, True, False, True, False]


def test_a_model_that_fails_for_one_answers_the_others(registry, predictor):
    def predict(weights, inputs):
        if (inputs < 0).any():
            raise ValueError("negative")
        return inputs

    fussy = Predictor(
        "digits@latest", predict=predict, registry=registry, schema=SCHEMA
    )
    outcomes = asked(fussy, [np.full((1, 2), each, np.float32) for each in (1, -1, 2)])
    assert [isinstance(each, Exception) for each in outcomes] == [False, True, False]


def test_rows_that_are_no_examples_are_predicted_one_by_one(registry, predictor):
    summing = Predictor(
        "digits@latest",
        predict=lambda weights, inputs: inputs.sum(axis=0, keepdims=True),
        registry=registry,
        schema=SCHEMA,
    )
    requests = [np.full((2, 2), number, np.float32) for number in range(5)]
    for number, outcome in enumerate(asked(summing, requests)):
        np.testing.assert_array_equal(outcome.outputs["output"], [[2 * number] * 2])


def test_without_a_version_each_is_told():
    (outcome,) = asked(None, [np.zeros((1, 2))])
    assert isinstance(outcome, NotServingError)


@pytest.fixture
def slow(registry, predictor):
    """Yield a predictor that works until it may go on, and the two events."""
    working, go_on = threading.Event(), threading.Event()

    def predict(weights, inputs):
        working.set()
        assert go_on.wait(20)
        return inputs * 2

    made = Predictor(
        "digits@latest",
        predict=predict,
        registry=registry,
        schema=SCHEMA,
        warm_up=False,
    )
    return made, working, go_on


def request_of(number):
    return {"x": np.full((1, 2), number, np.float32)}


def test_what_is_under_way_and_what_waits_is_answered_at_the_end(slow):
    predictor, working, go_on = slow

    async def work():
        batcher = MicroBatcher(lambda: predictor, max_batch_rows=2)
        batcher.start()
        asked = [asyncio.create_task(batcher.predict(request_of(0)))]
        await asyncio.to_thread(working.wait, 20)
        asked += [
            asyncio.create_task(batcher.predict(request_of(number)))
            for number in range(1, 6)
        ]
        await asyncio.sleep(0)
        stopping = asyncio.create_task(batcher.stop())
        await asyncio.sleep(0)
        with pytest.raises(NotServingError, match="being stopped"):
            await batcher.predict(request_of(9))
        assert not stopping.done()
        go_on.set()
        await stopping
        await batcher.stop()
        with pytest.raises(NotServingError, match="being stopped"):
            batcher.start()
        async with asyncio.timeout(20):
            return await asyncio.gather(*asked)

    for number, outcome in enumerate(asyncio.run(work())):
        expected = 2 * request_of(number)["x"]
        np.testing.assert_array_equal(outcome.outputs["output"], expected)


@pytest.mark.parametrize("has_gone", [False, True])
def test_the_end_waits_no_longer_than_it_may(slow, has_gone):
    predictor, working, go_on = slow

    async def work():
        batcher = MicroBatcher(lambda: predictor)
        batcher.start()
        asked = asyncio.create_task(batcher.predict(request_of(0)))
        await asyncio.to_thread(working.wait, 20)
        if has_gone:
            asked.cancel()
        async with asyncio.timeout(10):
            await batcher.stop(None if has_gone else 0.1)
        return await asyncio.gather(asked, return_exceptions=True)

    (outcome,) = asyncio.run(work())
    wanted = asyncio.CancelledError if has_gone else NotServingError
    assert isinstance(outcome, wanted)
    (thread,) = (
        each
        for each in threading.enumerate()
        if each.name.startswith("flwr-registry-predict")
    )
    # The process ends all the same.
    assert thread.daemon
    go_on.set()
    thread.join(20)
    assert not thread.is_alive()


def test_what_waits_for_a_batcher_that_never_began_is_told(predictor):
    async def work():
        batcher = MicroBatcher(lambda: predictor)
        asked = asyncio.create_task(batcher.predict(request_of(1)))
        await asyncio.sleep(0)
        await batcher.stop()
        async with asyncio.timeout(20):
            await asked

    with pytest.raises(NotServingError, match="being stopped"):
        asyncio.run(work())


def test_when_the_event_loop_ends_nobody_is_left_waiting(slow):
    predictor, working, go_on = slow

    async def work():
        batcher = MicroBatcher(lambda: predictor)
        batcher.start()
        asked = [
            asyncio.create_task(batcher.predict(request_of(number)))
            for number in range(2)
        ]
        await asyncio.to_thread(working.wait, 20)
        batcher._task.cancel()
        async with asyncio.timeout(20):
            outcomes = await asyncio.gather(*asked, return_exceptions=True)
        go_on.set()
        await batcher.stop()
        return outcomes

    assert all(isinstance(each, NotServingError) for each in asyncio.run(work()))
