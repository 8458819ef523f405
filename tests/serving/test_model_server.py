"""The server, asked over real sockets."""

import asyncio
import contextlib
import threading
import time

import httpx
import numpy as np
import pytest
from serving.conftest import CONFIG, FEATURES, served

from flwr_registry import Predictor
from flwr_registry.records import VersionMetadata
from flwr_registry.serving.server_options import ServerOptions

INFER = "/v2/models/digits/infer"
TENSOR = {
    "name": "features",
    "datatype": "FP32",
    "shape": [2, 4],
    "data": FEATURES.ravel().tolist(),
}
REQUEST = {"id": "one", "inputs": [TENSOR]}


@pytest.fixture
def client(registry, add, serve):
    registry.promote(add(1.5).reference)
    with serve() as (address, _), httpx.Client(base_url=address) as opened:
        yield opened


def eventually(found):
    """Wait until something is so."""
    ends = time.monotonic() + 20
    while not found():
        assert time.monotonic() < ends, "it never came to be"
        time.sleep(0.01)


def test_a_prediction_says_who_made_it(registry, client):
    answer = client.post(INFER, json=REQUEST)
    version = registry.get("digits@production")
    assert answer.status_code == 200
    assert answer.json() == {
        "model_name": "digits",
        "model_version": "1.0.0",
        "id": "one",
        "parameters": {"digest": version.checksum},
        "outputs": [
            {"name": "output", "datatype": "FP32", "shape": [2, 3], "data": [1.5] * 6}
        ],
    }
    same = client.post("/v2/models/digits/versions/1.0.0/infer", json=REQUEST)
    assert same.json() == answer.json()


def test_the_words_of_mlflow(client):
    rows = FEATURES.tolist()
    columns = ["a", "b", "c", "d"]
    for body in (
        {"inputs": rows},
        {"instances": rows},
        {"inputs": {"features": rows}},
        {"dataframe_split": {"columns": columns, "data": rows}},
        {"dataframe_records": [dict(zip(columns, row, strict=True)) for row in rows]},
    ):
        answer = client.post("/invocations", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["predictions"] == [[1.5] * 3] * 2
        assert answer.json()["model_version"] == "1.0.0"


def test_what_is_told_about_server_and_model(client):
    assert client.get("/v2/health/live").json() == {"live": True}
    ready = client.get("/v2/health/ready")
    assert (ready.status_code, ready.json()["state"]) == (200, "ready")
    about = client.get("/v2/models/digits").json()
    assert about["versions"] == ["1.0.0"]
    assert about["inputs"] == [
        {"name": "features", "datatype": "FP32", "shape": [-1, 4]}
    ]
    assert client.get("/v2/models/digits/versions/1.0.0/ready").json()["ready"]
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]


def test_prometheus_finds_what_was_counted(client):
    client.post(INFER, json=REQUEST)
    client.post(INFER, json={})
    client.get("/nowhere/at/all")
    text = client.get("/metrics").text
    route = 'route="/v2/models/{name}/infer"'
    assert f'flwr_registry_requests_total{{{route},status="200"}} 1.0' in text
    assert f'flwr_registry_requests_total{{{route},status="400"}} 1.0' in text
    assert 'route="unknown",status="404"' in text
    assert 'flwr_registry_examples_total{version="1.0.0"} 2.0' in text
    assert "flwr_registry_degraded 0.0" in text


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"inputs": []}, 400, "no list of inputs"),
        ({"inputs": [{**TENSOR, "name": "other"}]}, 400, "unknown input 'other'"),
        ({"inputs": [{**TENSOR, "shape": [2, 5]}]}, 400, "needs 10"),
        ({"inputs": [{**TENSOR, "shape": [4, 2]}]}, 400, r"shape [4, 2], expected"),
        ({"inputs": [{**TENSOR, "datatype": "BYTES"}]}, 400, "datatype 'BYTES'"),
        ({"inputs": [{**TENSOR, "data": ["a"] * 8}]}, 400, "are no numbers"),
        ({"inputs": [TENSOR, TENSOR]}, 400, "there twice"),
        ({"outputs": [{"name": "scores"}]}, 400, "no output 'scores', but output"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(client, change, status, text):
    answer = client.post(INFER, json={**REQUEST, **change})
    assert answer.status_code == status
    assert text in answer.json()["error"]
    assert client.post(INFER, json=REQUEST).status_code == 200


def test_another_model_or_version_is_not_here(client):
    for path in ("/v2/models/other/infer", "/v2/models/digits/versions/9.0.0/infer"):
        answer = client.post(path, json=REQUEST)
        assert answer.status_code == 404
        assert "served is" in answer.json()["error"]
    # A path or URL in the place of a version opens nothing.
    answer = client.post("/v2/models/digits/versions/..%2f..%2fetc/infer", json=REQUEST)
    assert answer.status_code == 404


def test_only_json_and_raw_tensors_are_read(client):
    for kind in (
        "application/x-www-form-urlencoded",
        "text/plain",
        "multipart/form-data",
    ):
        answer = client.post(INFER, content=b"{}", headers={"Content-Type": kind})
        assert answer.status_code == 415
    page = {"Origin": "https://evil.example", "Content-Type": ""}
    assert client.post(INFER, content=b"{}", headers=page).status_code == 415
    packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert client.post(INFER, content=b"{}", headers=packed).status_code == 415


def test_a_long_body_is_refused_before_it_is_read(registry, add, serve):
    registry.promote(add(1).reference)
    with serve(max_body_bytes=1000) as (address, _):
        kind = {"Content-Type": "application/json"}
        long = b"[" * 2000
        answer = httpx.post(address + INFER, content=long, headers=kind)
        assert answer.status_code == 413
        # Without a length, in pieces.
        pieces = (long[:500] for _ in range(4))
        assert (
            httpx.post(address + INFER, content=pieces, headers=kind).status_code == 413
        )


@pytest.mark.slow
def test_a_token_guards_everything_but_the_probes(registry, add, serve):
    registry.promote(add(1).reference)
    with serve(token="secret") as (address, _):
        for shown in (
            {},
            {"Authorization": "Bearer other"},
            {"Authorization": "secret"},
        ):
            for path in ("/v2", "/metrics", "/v2/models/digits"):
                answer = httpx.get(address + path, headers=shown)
                assert answer.status_code == 401, path
                assert answer.headers["www-authenticate"] == "Bearer"
            assert httpx.post(address + INFER, json=REQUEST).status_code == 401
        right = {"Authorization": "Bearer secret"}
        assert httpx.post(address + INFER, json=REQUEST, headers=right).is_success
        probe = httpx.get(address + "/v2/health/ready")
        assert probe.json() == {"ready": True, "state": "ready"}
        known = httpx.get(address + "/v2/health/ready", headers=right).json()
        assert known["model_version"] == "1.0.0"


def test_a_foreign_name_is_refused_on_loopback(client):
    answer = client.post(INFER, json=REQUEST, headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert client.get("/v2", headers={"Host": "localhost:1"}).is_success


def test_an_address_that_others_reach_needs_a_token():
    with pytest.raises(ValueError, match=r"give a token .* or say --insecure"):
        ServerOptions(host="0.0.0.0")
    assert not ServerOptions(host="0.0.0.0", token="x").is_local
    assert not ServerOptions(host="192.168.1.1", insecure=True).is_local
    assert ServerOptions(host="127.0.0.5").is_local


def test_promotions_and_rollbacks_are_followed(registry, add, client):
    def predicted():
        answer = client.post(INFER, json=REQUEST).json()
        return answer["outputs"][0]["data"][0], answer["model_version"]

    assert predicted() == (1.5, "1.0.0")
    registry.promote(add(2.5).reference)
    eventually(lambda: predicted() == (2.5, "1.1.0"))
    registry.rollback("digits")
    eventually(lambda: predicted() == (1.5, "1.0.0"))


@pytest.mark.slow
def test_a_version_that_does_not_fit_leaves_the_old_one(registry, add, serve):
    registry.promote(add(1).reference)
    metadata = VersionMetadata(model_config=CONFIG)
    other = {"layer.weight": np.ones((3, 5), np.float32)}
    with serve() as (address, _):

        def state():
            return httpx.get(address + "/v2/health/ready").json()

        unfit = registry.register(other, model="digits", metadata=metadata)
        registry.promote(unfit.reference)
        eventually(lambda: state()["state"] == "degraded")
        assert "missing arrays: 'layer.bias'" in state()["error"]
        assert (
            httpx.post(address + INFER, json=REQUEST).json()["model_version"] == "1.0.0"
        )
        assert "flwr_registry_degraded 1.0" in httpx.get(address + "/metrics").text
        registry.rollback("digits")
        eventually(lambda: state()["state"] == "ready")


@pytest.mark.slow
def test_a_shift_of_what_is_asked_is_found_and_told(registry, add, serve):
    made = add(1)
    registry.promote(made.reference)
    random = np.random.default_rng(1)
    usual = random.normal(size=(1000, 4)).astype(np.float32)
    baseline = Predictor(made.reference, registry=registry).baseline(usual)
    assert sorted(baseline) == ["input:features", "output:output"]
    registry.set_drift_baseline(made.reference, baseline)
    with serve() as (address, _):

        def ask(features):
            body = {"inputs": features.tolist()}
            assert httpx.post(address + "/invocations", json=body).is_success

        def told():
            text = httpx.get(address + "/metrics").text
            lines = [
                each
                for each in text.splitlines()
                if each.startswith("flwr_registry_drift{")
            ]
            return {
                each.rpartition(" ")[0]: float(each.rpartition(" ")[2])
                for each in lines
            }

        for _ in range(4):
            ask(random.normal(size=(100, 4)))
        quiet = told()
        key = 'flwr_registry_drift{tensor="input:features",test="psi"}'
        assert quiet[key] < 0.25
        assert registry.drift_findings("digits") == []
        for _ in range(10):
            ask(random.normal(2, 1, size=(100, 4)))
        eventually(lambda: registry.drift_findings("digits"))
        (found,) = registry.drift_findings("digits")
        assert (found.finding.kind, found.version) == ("input", "1.0.0")
        assert told()[key] > 0.25


def test_nothing_in_production_is_nothing_to_serve(registry, add, serve):
    made = add(1)
    with serve() as (address, _):
        ready = httpx.get(address + "/v2/health/ready")
        assert ready.status_code == 503
        assert "production" in ready.json()["error"]
        answer = httpx.post(address + INFER, json=REQUEST)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        registry.promote(made.reference)
        eventually(lambda: httpx.post(address + INFER, json=REQUEST).is_success)


@pytest.mark.slow
def test_under_load_no_request_fails_and_no_answer_is_mixed(registry, add, serve):
    """While versions are promoted and rolled back ten times a second."""
    values = {"1.0.0": 1.0, "1.1.0": 2.0}
    versions = [add(value).reference for value in values.values()]
    digests = {
        registry.get(each).version: registry.get(each).checksum for each in versions
    }
    registry.promote(versions[0])
    ended = threading.Event()

    def govern():
        while not ended.is_set():
            registry.promote(versions[1], allow_archived=True)
            time.sleep(0.1)
            registry.rollback("digits")
            time.sleep(0.1)

    async def ask(client, seen):
        while not ended.is_set():
            answer = await client.post(INFER, json=REQUEST)
            assert answer.status_code == 200, answer.text
            made = answer.json()
            assert set(made["outputs"][0]["data"]) == {values[made["model_version"]]}
            assert made["parameters"]["digest"] == digests[made["model_version"]]
            seen.append(made["model_version"])

    async def load(address):
        seen = []
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(
            base_url=address, limits=limits, timeout=120
        ) as client:
            asking = [asyncio.create_task(ask(client, seen)) for _ in range(100)]
            # However long that takes where other programs want the machine too.
            while len(seen) < 300 or set(seen) != set(values):
                await asyncio.sleep(0.1)
                if any(each.done() for each in asking):
                    break
            ended.set()
            await asyncio.gather(*asking)
        return seen

    with serve(max_queued=1000, timeout_seconds=120) as (address, _):
        governing = threading.Thread(target=govern)
        governing.start()
        try:
            seen = asyncio.run(load(address))
        finally:
            ended.set()
            governing.join()
    assert set(seen) == set(values)


def slow_predictor(registry, seconds):
    def load(reference):
        def predict(weights, inputs):
            time.sleep(seconds)
            return inputs

        return Predictor(reference, predict=predict, registry=registry, warm_up=False)

    return load


@pytest.mark.slow
def test_too_many_requests_are_sent_away(registry, add):
    registry.promote(add(1).reference)
    load = slow_predictor(registry, 0.5)

    async def ask(address):
        async with httpx.AsyncClient(base_url=address, timeout=30) as client:
            asked = [client.post(INFER, json=REQUEST) for _ in range(20)]
            return await asyncio.gather(*asked)

    with served(registry, load, max_queued=4, max_batch_rows=2) as (address, _):
        answers = asyncio.run(ask(address))
    statuses = {each.status_code for each in answers}
    assert statuses == {200, 503}
    refused = next(each for each in answers if each.status_code == 503)
    assert refused.headers["retry-after"] == "1"


def test_a_prediction_that_takes_too_long_is_given_up(registry, add):
    registry.promote(add(1).reference)
    with served(registry, slow_predictor(registry, 1), timeout_seconds=0.2) as (
        address,
        _,
    ):
        answer = httpx.post(address + INFER, json=REQUEST)
        assert answer.status_code == 504


def test_requests_under_way_are_answered_before_the_server_ends(registry, add):
    registry.promote(add(1).reference)
    answers = []
    with served(registry, slow_predictor(registry, 0.5)) as (address, _):
        asking = threading.Thread(
            target=lambda: answers.append(httpx.post(address + INFER, json=REQUEST))
        )
        asking.start()
        time.sleep(0.2)
    asking.join()
    assert answers[0].status_code == 200


@pytest.mark.slow
def test_a_prediction_that_does_not_end_holds_up_no_end(registry, add):
    registry.promote(add(1).reference)

    def ask():
        with contextlib.suppress(httpx.HTTPError):
            httpx.post(address + INFER, json=REQUEST)

    load = slow_predictor(registry, 15)
    with served(registry, load, shutdown_seconds=1) as (address, made):
        asking = threading.Thread(target=ask)
        asking.start()
        eventually(lambda: made.model.batcher._under_way)
        began = time.monotonic()
    assert time.monotonic() - began < 10
    asking.join()


def test_what_a_model_says_when_it_fails_stays_in_the_log(registry, add, caplog):
    def load(reference):
        def predict(weights, inputs):
            raise RuntimeError("/srv/secret/path")

        return Predictor(reference, predict=predict, registry=registry, warm_up=False)

    registry.promote(add(1).reference)
    with served(registry, load) as (address, _):
        answer = httpx.post(address + INFER, json=REQUEST)
    assert answer.status_code == 422
    assert "secret" not in answer.text
    assert "/srv/secret/path" in caplog.text
