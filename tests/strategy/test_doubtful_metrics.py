"""What becomes of a round whose model an evaluation casts doubt on."""

import numpy as np
import pytest
from federation.clients import NumpyClients
from federation.in_process_grid import InProcessGrid, to_record
from flwr.app import MetricRecord
from flwr.serverapp.strategy import FedAvg

from flwr_registry import FewestContributors, ModelRegistry, RegistryStrategy
from flwr_registry.records import VersionStatus
from flwr_registry.validation import ModelValidator

ANY_ACCURACY = ModelValidator(metric_ranges={"accuracy": (None, None)})


def train(database, **options):
    options = {"registry": database, "model": "m", "on_error": "raise", **options}
    wrapped = RegistryStrategy(FedAvg(fraction_evaluate=0.0), **options)
    wrapped.start(
        grid=InProcessGrid(NumpyClients()),
        initial_arrays=to_record({"w": np.zeros(4, np.float32)}),
        num_rounds=2,
        evaluate_fn=lambda number, _: MetricRecord({"accuracy": 0.5 + 86.5 * number}),
    )


@pytest.mark.parametrize(
    ("validator", "status"),
    [(None, VersionStatus.FAILED), (ANY_ACCURACY, VersionStatus.CANDIDATE)],
)
def test_a_central_evaluation_is_judged_as_training_is_and_a_rebuild_keeps_it(
    tmp_path, caplog, validator, status
):
    database = tmp_path / "registry.db"
    train(str(database), validator=validator)
    failed = status is VersionStatus.FAILED
    assert ("metrics are doubtful: metric 'accuracy' is 87.0" in caplog.text) == failed
    with ModelRegistry(database) as registry:
        before = registry.list("m")
    assert {each.status for each in before} == {status}
    database.unlink()
    with ModelRegistry(database) as registry:
        registry.rebuild()
        after = registry.list("m")
    assert [(each.version, each.status, each.validation_errors) for each in after] == [
        (each.version, each.status, each.validation_errors) for each in before
    ]


def test_training_goes_on_and_nothing_doubtful_is_promoted_or_best(tmp_path, caplog):
    database = str(tmp_path / "registry.db")
    train(database, promote=FewestContributors(1), best_metric="accuracy")
    with ModelRegistry(database) as registry:
        assert len(registry.list("m")) == 2
        assert registry.history("m") == []
        assert "best" not in registry.aliases("m")
    assert "is not promoted: m:1.0.0 failed validation" in caplog.text
