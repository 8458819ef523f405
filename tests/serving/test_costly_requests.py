"""Requests that are made to cost much, or to make the server fail."""

import copy
import json
import socket
from contextlib import ExitStack

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving.conftest import FEATURES, served
from serving.test_model_server import INFER, REQUEST

from flwr_registry import Predictor
from flwr_registry.serving.server_options import ServerOptions

KIND = {"Content-Type": "application/json"}
ROWS = FEATURES.tolist()


@pytest.fixture
def asked(registry, add, serve):
    """Ask a server of these options."""
    registry.promote(add(1.5).reference)
    with ExitStack() as stack:

        def ask(**options):
            address, _ = stack.enter_context(serve(**options))
            return stack.enter_context(httpx.Client(base_url=address))

        yield ask


def error_of(answer):
    return answer.status_code, answer.json()["error"]


def without_values(shape):
    return {"inputs": [{**REQUEST["inputs"][0], "shape": shape, "data": []}]}


def test_what_one_request_may_ask_for_is_bounded(asked):
    client = asked(max_values=100, max_rows=5, max_answer_bytes=400)
    status, error = error_of(client.post("/invocations", json={"inputs": [ROWS] * 30}))
    assert (status, "at most 100 values" in error) == (413, True)
    for body, path, bound in (
        (without_values([6, 0]), INFER, "at most 5 examples"),
        ({"inputs": ROWS * 3}, "/invocations", "at most 5 examples"),
        (without_values([1, 60_000_000, 0]), INFER, "at most length 5"),
        (without_values([0, 6]), INFER, "at most length 5"),
    ):
        status, error = error_of(client.post(path, json=body))
        assert (status, bound in error) == (413, True), error
    assert client.post(INFER, json=REQUEST).status_code == 200


def test_an_answer_is_not_longer_than_it_may_be(asked):
    client = asked(max_answer_bytes=100)
    for path, body in ((INFER, REQUEST), ("/invocations", {"inputs": ROWS})):
        status, error = error_of(client.post(path, json=body))
        assert (status, "longer than 100 bytes" in error) == (413, True)


def test_open_bodies_are_bounded_in_sum(registry, add):
    """While one body is open, another that does not fit beside it is sent away."""
    registry.promote(add(1.5).reference)
    answers = []

    def load(reference):
        def predict(weights, inputs):
            if not answers:
                answers.append(client.post(INFER, json=REQUEST))
            return inputs

        return Predictor(reference, predict=predict, registry=registry, warm_up=False)

    size = len(json.dumps(REQUEST))
    limits = {"max_body_bytes": size, "max_open_body_bytes": size + 10}
    with (
        served(registry, load, **limits) as (address, _),
        httpx.Client(base_url=address) as client,
    ):
        assert client.post(INFER, json=REQUEST).status_code == 200
        assert answers[0].status_code == 503
        assert answers[0].headers["retry-after"] == "1"
        assert client.post(INFER, json=REQUEST).status_code == 200


def test_options_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="one request would never fit"):
        ServerOptions(max_body_bytes=100, max_open_body_bytes=50)


def test_the_token_comes_before_the_body(asked):
    """And in front of the description, which names it; probes stay open."""
    client = asked(token="secret")
    for path in (INFER, "/invocations"):
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
        place = (client.base_url.host, client.base_url.port)
        with socket.create_connection(place, timeout=20) as connection:
            connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 401 ")
    assert client.get("/openapi.json").status_code == 401
    right = {"Authorization": "Bearer secret"}
    described = client.get("/openapi.json", headers=right).json()
    (scheme,) = described["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert described["paths"]["/v2/models/{name}/infer"]["post"]["security"]
    assert "security" not in described["paths"]["/v2/health/live"]["get"]
    for path in ("/v2/health/live", "/v2/health/ready", "/ping"):
        assert client.get(path).status_code == 200


HOSTS = {
    "localhost": 200,
    "LOCALHOST:8080": 200,
    "127.0.0.1:1": 200,
    "[::1]:8080": 200,
    "evil.example": 421,
    "localhost.evil.example": 421,
    "localhost.": 421,
    "evil@localhost": 400,
    "localhost/x": 400,
    "localhost?x": 400,
    "localhost#x": 400,
    "localhost:": 400,
    "localhost:80:80": 400,
    "localhost:port": 400,
    "localhost, evil.example": 400,
    "[localhost]": 400,
    "": 400,
}


def test_a_host_is_compared_whole(asked):
    client = asked()
    answers = {host: client.get("/v2", headers={"Host": host}) for host in HOSTS}
    assert {host: answer.status_code for host, answer in answers.items()} == HOSTS


NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    st.sampled_from([16.0, 8.0, 2.0, 10**30, 2**63, 2**64, -1, 10**4000, -(10**400)]),
)
ODD = st.one_of(
    NUMBERS,
    st.none(),
    st.text(max_size=4),
    st.sampled_from(["\ud800", "FP16", "UINT64", "BYTES", "output"]),
    st.lists(NUMBERS, max_size=4),
    st.lists(st.lists(NUMBERS, max_size=2), max_size=2),
    st.dictionaries(st.sampled_from(["name", "binary_data", "data"]), NUMBERS),
)
WHOLE = {
    "id": "one",
    "parameters": {"binary_data_output": True},
    "inputs": [
        {
            "name": "features",
            "datatype": "FP32",
            "shape": [1, 4],
            "parameters": {"binary_data_size": 16},
        }
    ],
    "outputs": [{"name": "output", "parameters": {"binary_data": False}}],
}
LISTED = {**WHOLE, "inputs": [{**REQUEST["inputs"][0]}]}
SCORED = {"dataframe_split": {"columns": ["a"], "data": ROWS}}


def places(document, path=()):
    """Every path of a document."""
    yield path
    if isinstance(document, dict | list):
        keys = document if isinstance(document, dict) else range(len(document))
        for key in keys:
            yield from places(document[key], (*path, key))


@st.composite
def mutated(draw):
    document = copy.deepcopy(draw(st.sampled_from([WHOLE, LISTED, SCORED])))
    for _ in range(draw(st.integers(1, 2))):
        # What was taken away may have been all there was.
        found = [each for each in places(document) if each] or [("inputs",)]
        *path, last = draw(st.sampled_from(found))
        within = document
        for key in path:
            within = within[key]
        if draw(st.booleans()) and isinstance(within, dict):
            within.pop(last, None)
        else:
            within[last] = draw(ODD)
    return document


@pytest.mark.slow
def test_no_mutated_request_makes_the_server_fail(asked):
    """Whatever a field holds, a request is answered or told what is wrong with it."""
    client = asked(max_body_bytes=1_000_000)
    raw = np.ones(4, np.float32).tobytes()

    @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
    @given(mutated(), st.booleans(), st.sampled_from([0, 1, -1]))
    def ask(document, is_raw, off_by):
        head = json.dumps(document).encode()
        length = {"Inference-Header-Content-Length": str(len(head) + off_by)}
        body = head + raw if is_raw else head
        for path in (INFER, "/invocations"):
            headers = {**KIND, **(length if is_raw else {})}
            answer = client.post(path, content=body, headers=headers)
            assert answer.status_code < 500, answer.text

    ask()
