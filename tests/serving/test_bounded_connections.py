"""Silent, slow and endless connections, over real sockets."""

import contextlib
import json
import os
import resource
import socket
import time
from functools import partial

import httpx
import numpy as np
import pytest
from serving.conftest import served
from serving.networks import echo
from serving.test_model_server import INFER, REQUEST, eventually

from flwr_registry import Predictor
from flwr_registry.serving.input_schema import InputSchema, TensorSchema

HEAD = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\n"
JSON = "Content-Type: application/json\r\n"


@pytest.fixture
def serving(registry, add, serve):
    """Serve, and open sockets, which are closed before the server ends."""
    registry.promote(add(1.5).reference)

    @contextlib.contextmanager
    def served_with(run=serve, **options):
        with run(**options) as (address, made), contextlib.ExitStack() as stack:

            def connect(text="", receive_bytes=None):
                connection = stack.enter_context(socket.socket())
                if receive_bytes:
                    connection.setsockopt(
                        socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes
                    )
                connection.settimeout(20)
                connection.connect((httpx.URL(address).host, httpx.URL(address).port))
                connection.sendall(text.encode())
                return connection

            client = stack.enter_context(httpx.Client(base_url=address))
            yield connect, client, made

    return served_with


def answer_of(connection):
    """Read until the server closes."""
    text = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            text += piece
    return text.decode()


def dripped(connection, piece, seconds=0.02):
    """Send a little again and again, until the server has enough; return its answer."""
    with contextlib.suppress(ConnectionError):
        for _ in range(500):
            connection.sendall(piece)
            time.sleep(seconds)
    return answer_of(connection)


@pytest.mark.slow
def test_silent_connections_lock_nobody_out(serving):
    with serving(max_connections=20, idle_seconds=60) as (connect, client, _):
        silent = [connect() for _ in range(60)]
        begun = [connect(HEAD) for _ in range(15)]
        assert client.post(INFER, json=REQUEST).status_code == 200
        # The oldest made room.
        assert answer_of(silent[0]) == ""
        more = [connect(HEAD) for _ in range(20)]
        assert answer_of(begun[0]).startswith("HTTP/1.1 503 ")
        assert len(more) == 20


def test_bodies_that_never_come_lock_nobody_out(serving):
    with serving(max_connections=3) as (connect, client, _):
        for _ in range(10):
            connect(HEAD + JSON + "Content-Length: 2\r\n\r\n")
            assert client.post(INFER, json=REQUEST).is_success


def test_what_is_at_work_makes_no_room(serving, registry):
    """A newcomer is sent away, and told when to come again."""
    answers = []

    def load(reference):
        def predict(weights, inputs):
            answers.append(answer_of(asking(HEAD)))
            return inputs

        return Predictor(reference, predict=predict, registry=registry, warm_up=False)

    run = partial(served, registry, load)
    with serving(run, max_connections=1) as (asking, client, _):
        assert client.post(INFER, json=REQUEST).is_success
    assert answers[0].startswith("HTTP/1.1 503 ")
    assert "Retry-After: 1" in answers[0]


def test_a_silent_connection_is_closed(serving):
    with serving(idle_seconds=0.1) as (connect, _, _made):
        assert answer_of(connect()) == ""
        kept = connect("GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer_of(kept).endswith('{"live":true}')


@pytest.mark.parametrize(
    ("begun", "piece"),
    [
        (HEAD, b"X-A: b\r\n"),
        (HEAD + JSON + "Content-Length: 9000\r\n\r\n", b" "),
        (HEAD + JSON + "Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
    ids=["head", "body", "chunks"],
)
def test_a_request_that_drips_is_answered_408(serving, begun, piece):
    with serving(transfer_seconds=0.3) as (connect, _, _made):
        answer = dripped(connect(begun), piece)
    assert answer.startswith("HTTP/1.1 408 ")
    assert '"error":' in answer
    assert "at most 0.3 s" in answer


def test_an_endless_head_is_cut_off(serving):
    line = b"X-A: " + b"b" * 1000 + b"\r\n"
    with serving() as (connect, _, _made):
        connection = connect(HEAD)
        # The last is the one too many: nothing that comes later cuts the answer off.
        for _ in range(66):
            connection.sendall(line)
        answer = answer_of(connection)
    assert answer.startswith(("HTTP/1.1 431 ", "HTTP/1.1 400 "))


SIZE = 2_000_000


@pytest.fixture
def echoing(serving, registry):
    """Serve what answers with its inputs; a request's answer has 6 times its bytes."""

    def load(reference):
        return Predictor(
            reference,
            predict=echo,
            registry=registry,
            warm_up=False,
            schema=InputSchema((TensorSchema("x", np.dtype(bool), (-1, -1)),)),
        )

    return partial(serving, partial(served, registry, load))


def long_request():
    tensor = {"name": "x", "datatype": "BOOL", "shape": [1, SIZE]}
    tensor["parameters"] = {"binary_data_size": SIZE}
    head = json.dumps({"inputs": [tensor]})
    wanted = f"{HEAD}Inference-Header-Content-Length: {len(head)}\r\n"
    wanted += f"Content-Length: {len(head) + SIZE}\r\n\r\n{head}"
    return wanted + "\0" * SIZE


def is_answered(made, count=1):
    counted = f'status="200"}} {count}.0'
    return counted in made.model.exposed_metrics().decode()


@pytest.mark.slow
def test_an_answer_that_nobody_reads_is_dropped(echoing):
    with echoing(transfer_seconds=0.3, idle_seconds=0.1) as (connect, _, made):
        connection = connect(long_request(), receive_bytes=4096)
        eventually(lambda: is_answered(made))
        time.sleep(0.8)
        # "false," for each: what the system had taken already is all that comes.
        assert len(answer_of(connection)) < 6 * SIZE


@pytest.mark.slow
@pytest.mark.parametrize("is_pipelined", [False, True])
def test_a_second_request_keeps_no_answer_that_nobody_reads(echoing, is_pipelined):
    limits = {"max_connections": 3, "transfer_seconds": 0.5}
    with echoing(**limits) as (connect, client, made):
        second = "GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        text = long_request() + (second if is_pipelined else "")
        held = [connect(text, receive_bytes=4096) for _ in range(3)]
        eventually(lambda: is_answered(made, 3))
        for connection in held:
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"" if is_pipelined else second.encode())
        time.sleep(1)
        assert client.get("/v2/health/live").status_code == 200


@pytest.mark.slow
def test_answers_that_nobody_reads_are_bounded_in_sum(echoing):
    with echoing(max_open_body_bytes=16 * 1024 * 1024) as (connect, client, made):
        held = [connect(long_request(), receive_bytes=4096) for _ in range(4)]
        eventually(lambda: is_answered(made, 4))
        for each in held:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SIZE)
        # Those that have lain longest were dropped, whichever came first.
        assert sum(len(answer_of(each)) > 6 * SIZE for each in held) == 1
        assert client.get("/v2/health/live").status_code == 200


def test_a_client_that_goes_away_is_no_error_of_the_server(serving, caplog):
    with serving() as (connect, _, made):
        connect(HEAD + JSON + "Content-Length: 9000\r\n\r\n{").close()
        eventually(lambda: 'status="499"' in made.model.exposed_metrics().decode())
    assert "failed" not in caplog.text


@pytest.mark.slow
def test_connections_leave_files_for_the_registry(serving, registry, add, caplog):
    """However many come, the database and the weights can be opened."""
    made = add(2.5)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = len(os.listdir("/dev/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 100, limits[1]))
    try:
        with serving(idle_seconds=60) as (connect, client, _):
            assert "raise 'ulimit -n'" in caplog.text
            # The sockets of this side count too.
            more = open_now + 100 + 200
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, limits[1]))
            silent = [connect() for _ in range(200)]
            registry.promote(made.reference)

            def predicted():
                return client.post(INFER, json=REQUEST).json()["model_version"]

            eventually(lambda: predicted() == made.version)
            assert len(silent) == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
