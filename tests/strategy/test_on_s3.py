"""A run that lives on S3 goes on elsewhere with nothing but the URL."""

from uuid import uuid4

import pytest
from federation.catalogue import find
from federation.outcome import Play, play

from flwr_registry import ModelRegistry, RegistryStrategy

pytestmark = pytest.mark.slow

ENTRY = find("message-FedAdam")


def run(folder, rounds, url, **options):
    def wrap(strategy):
        return RegistryStrategy(
            strategy,
            registry=str(folder / "registry.db"),
            storage=url,
            run="trial",
            on_error="raise",
            **options,
        )

    return play(ENTRY, Play(rounds=rounds, wrap=wrap))


def test_it_goes_on_without_its_database(s3_environment, tmp_path):
    url = f"s3://models/{uuid4().hex}"
    for name in ("here", "there", "whole"):
        (tmp_path / name).mkdir()
    whole = run(tmp_path / "whole", 5, f"{url}/whole")
    run(tmp_path / "here", 3, f"{url}/parts")
    parts = run(tmp_path / "there", 5, f"{url}/parts", resume=True)
    assert (parts.arrays, parts.metrics) == (whole.arrays, whole.metrics)
    assert parts.strategy_state == whole.strategy_state
    with ModelRegistry(tmp_path / "there/registry.db", f"{url}/parts") as registry:
        versions = registry.list()[::-1]
        assert [version.server_round for version in versions] == [1, 2, 3, 4, 5]
        assert registry.verify_all().problems == ()
        assert registry.doctor() == []
