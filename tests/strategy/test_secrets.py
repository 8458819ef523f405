"""Secrets of the configuration are written nowhere."""

import json
import logging
import zipfile
from pathlib import Path

import pytest
from federation.clients import NumpyClients, floating_model
from federation.in_process_grid import InProcessGrid, to_record
from flwr.app import Context, RecordDict
from flwr.serverapp.strategy import FedAvg
from masking.secrets_corpus import HARMLESS, PLANTED, SECRETS

from flwr_registry import ModelRegistry, RegistryStrategy

SETTINGS = {name: value for name, (value, _) in PLANTED.items()}


def run_with_secrets(folder, **config):
    """Run a federation whose app and whose strategy have all planted secrets."""
    strategy = FedAvg()
    for name, value in SETTINGS.items():
        setattr(strategy, name, value)
    places = {
        "registry-url": f"sqlite:///{folder / 'registry.db'}",
        "registry-storage": str(folder / "store"),
        "registry-run": "trial",
        "registry-model": "digits",
    }
    context = Context(
        7, 1, {}, RecordDict(), {**places, **SETTINGS, **HARMLESS, **config}
    )
    wrapped = RegistryStrategy.from_context(context, strategy)
    wrapped.start(
        InProcessGrid(NumpyClients()), to_record(floating_model()), num_rounds=2
    )


def found_in(folder: Path) -> set[str]:
    """Return the planted secrets that stand in any file, archives opened."""
    found = set()
    for path in filter(Path.is_file, folder.rglob("*")):
        contents = [path.read_bytes()]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                contents += [archive.read(name) for name in archive.namelist()]
        for content in contents:
            found |= {each for each in SECRETS if each.encode() in content}
    return found


@pytest.fixture
def recorded(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    run_with_secrets(tmp_path)
    (tmp_path / "log").write_text(caplog.text)
    return tmp_path


def test_no_planted_secret_is_in_database_storage_bundle_card_or_log(recorded):
    with ModelRegistry(recorded / "registry.db", recorded / "store") as registry:
        registry.export("digits", recorded / "version.bundle", to="bundle")
        registry.export("digits", recorded / "card", to="huggingface")
        (run,) = registry.runs()
        entries = [repr(each) for each in registry.audit()]
    (recorded / "audit").write_text("\n".join(entries))
    (recorded / "shown").write_text(json.dumps([run.provenance.run_config]))
    assert found_in(recorded) == set()
    kept = {name: run.provenance.run_config[name] for name in HARMLESS}
    assert kept == HARMLESS
    assert run.provenance.strategy_config["weighted_by_key"] == "num-examples"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_no_planted_secret_is_in_what_mlflow_gets(recorded, monkeypatch):
    monkeypatch.chdir(recorded)
    with ModelRegistry(recorded / "registry.db", recorded / "store") as registry:
        place = f"sqlite:///{recorded / 'mlflow.db'}"
        registry.to_mlflow("digits", tracking_uri=place, experiment="trials")
    assert found_in(recorded) == set()


@pytest.mark.parametrize(("record", "said"), [("none", {}), ("names", "***")])
def test_less_of_a_configuration_is_recorded_where_that_is_asked_for(
    tmp_path, record, said
):
    run_with_secrets(tmp_path, **{"registry-record-config": record})
    with ModelRegistry(tmp_path / "registry.db", tmp_path / "store") as registry:
        (run,) = registry.runs()
    for config in (run.provenance.run_config, run.provenance.strategy_config):
        assert set(config.values()) == ({said} if said else set())
