"""Versions tried in a process of their own, before they take over."""

import json
import logging

import numpy as np
import pytest
from serving.networks import Net, as_the_bias_says

from flwr_registry import InputSchema, Predictor
from flwr_registry.errors import PredictionError
from flwr_registry.serving import PredictorLoader
from flwr_registry.serving.server_options import ServerOptions
from flwr_registry.serving.version_follower import VersionFollower
from flwr_registry.serving.version_trial import trial_of, try_version


def followed(registry, trial, load=None, **options):
    load = load or PredictorLoader(registry, predict=as_the_bias_says)
    return VersionFollower(registry, "digits@production", load, trial=trial, **options)


@pytest.mark.slow
def test_what_ends_the_process_of_a_trial_ends_no_server(registry, add):
    load = PredictorLoader(registry, predict=as_the_bias_says)
    follower = followed(registry, trial_of(load, ServerOptions()), load)
    registry.promote(add(1).reference)
    follower.load_first()
    assert (follower.current.version.version, follower.problem) == ("1.0.0", "")
    for value, told in (
        (2, "SIGSEGV"),
        (3, "ended with status 0"),
        (4, "tried to end the process: SystemExit(3)"),
    ):
        registry.promote(add(value).reference)
        follower.refresh()
        assert follower.current.version.version == "1.0.0"
        assert told in follower.problem


@pytest.mark.slow
def test_a_trial_that_hangs_is_ended(registry, add):
    described = PredictorLoader(registry, predict=as_the_bias_says).described()
    with pytest.raises(PredictionError, match="within 2 seconds"):
        try_version(described, add(6).reference, 2)


def test_a_first_version_that_fails_its_trial_is_an_error(registry, add):
    def trial(reference, goes_on):
        raise PredictionError(f"{reference} died")

    registry.promote(add(1).reference)
    with pytest.raises(PredictionError, match=r"digits:1\.0\.0 died"):
        followed(registry, trial).load_first()


def test_a_version_is_tried_once_and_a_failing_one_not_at_every_poll(registry, add):
    tried = []

    def trial(reference, goes_on):
        tried.append(reference)
        assert goes_on()
        if reference == "digits:1.1.0":
            raise PredictionError("died")

    follower = followed(registry, trial, poll_seconds=30)
    first, second = add(1), add(1.5)
    for version in (first, second, first, second):
        registry.promote(version.reference, allow_archived=True)
        for _ in range(3):
            follower.refresh()
    # Also when it is named again, it has to wait.
    assert tried == ["digits:1.0.0", "digits:1.1.0"]


def test_a_process_is_told_all_that_makes_a_predictor(registry, add):
    schema = InputSchema.of({"other": np.zeros((1, 4), np.float32)})
    options = {"schema": schema, "max_batch_bytes": 1000}
    load = PredictorLoader(registry, Net, {"bias": True}, **options)
    again = PredictorLoader.from_described(json.loads(json.dumps(load.described())))
    with again.registry:
        assert (again.schema, again.max_batch_bytes) == (schema, 1000)
        assert again(add(1).reference).schema == schema


def test_what_no_process_can_be_told_is_served_without_trial_and_said(registry, caplog):
    caplog.set_level(logging.INFO, "flwr_registry")
    named = PredictorLoader(registry, Net, {"bias": True})
    assert trial_of(named, ServerOptions()) is not None
    assert not caplog.messages
    for load, reason in (
        (lambda reference: Predictor(reference, registry=registry), "PredictorLoader"),
        (PredictorLoader(registry, Net()), "has no name"),
        (PredictorLoader(registry, predict=lambda w, x: x), "cannot be found by name"),
        (PredictorLoader(registry, Net, {"bias": object()}), "JSON cannot hold"),
        (PredictorLoader(registry, Net, {"bias": (3, 4)}), "it makes {'bias': [3, 4]}"),
        (PredictorLoader(registry, Net, {"bias": {1: 2}}), "it makes {'bias': {'1'"),
    ):
        assert trial_of(load, ServerOptions()) is None
        assert reason in caplog.messages[-1]
    assert trial_of(named, ServerOptions(without_trial="small GPU")) is None
    assert caplog.messages[-1].endswith("without a trial: small GPU")
