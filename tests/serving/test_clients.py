"""Clients and tools that others wrote, against the server."""

import subprocess
import sys

import httpx
import numpy as np
import pytest
from serving.conftest import FEATURES

pytestmark = pytest.mark.slow


def test_tritons_client_asks_in_json_and_in_raw_bytes(registry, add, serve):
    from tritonclient import http
    from tritonclient.utils import InferenceServerException

    registry.promote(add(1.5).reference)
    with serve() as (address, _):
        client = http.InferenceServerClient(address.removeprefix("http://"))
        try:
            assert client.is_server_live()
            assert client.is_server_ready()
            assert client.is_model_ready("digits")
            assert client.get_model_metadata("digits")["versions"] == ["1.0.0"]
            for raw in (True, False):
                features = http.InferInput("features", [2, 4], "FP32")
                features.set_data_from_numpy(FEATURES, binary_data=raw)
                wanted = http.InferRequestedOutput("output", binary_data=raw)
                made = client.infer("digits", [features], outputs=[wanted])
                np.testing.assert_array_equal(
                    made.as_numpy("output"), np.full((2, 3), 1.5)
                )
                assert made.get_response()["model_version"] == "1.0.0"
            with pytest.raises(InferenceServerException, match="served is digits"):
                client.infer("other", [features])
        finally:
            client.close()


def test_schemathesis_finds_nothing_in_the_openapi_description(registry, add, serve):
    registry.promote(add(1.5).reference)
    with serve() as (address, _):
        description = httpx.get(f"{address}/openapi.json").json()
        assert "/v2/models/{name}/infer" in description["paths"]
        checks = (
            "not_a_server_error,status_code_conformance,response_schema_conformance"
        )
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run"),
                f"{address}/openapi.json",
                *("--max-examples", "15", "--checks", checks),
            ],
            capture_output=True,
            text=True,
            timeout=240,
        )
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
