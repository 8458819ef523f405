"""A storage that is another registry's is refused before anything is trained."""

import logging

import numpy as np
import pytest
from federation.catalogue import find
from federation.outcome import Play, play

from flwr_registry import ModelRegistry, RegistryStrategy
from flwr_registry.errors import InvalidNameError, StorageOwnerError


def run(database, root, **options):
    def wrap(strategy):
        return RegistryStrategy(
            strategy, registry=str(database), storage=root, **{"model": "m", **options}
        )

    return play(find("message-FedAvg"), Play(wrap=wrap, rounds=2))


def registered(database, root, model="m"):
    with ModelRegistry(database, root) as opened:
        return opened.register({"w": np.ones(4, np.float32)}, model=model)


def everything_in(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_run_into_another_registry_s_storage_does_not_begin(tmp_path):
    root = tmp_path / "root"
    registered(tmp_path / "first.db", root)
    registered(tmp_path / "second.db", tmp_path / "own")
    before = everything_in(root)
    with pytest.raises(StorageOwnerError, match=r"registry-storage.*doctor --adopt"):
        run(tmp_path / "second.db", root)
    assert everything_in(root) == before
    with ModelRegistry(tmp_path / "second.db", tmp_path / "own") as opened:
        assert opened.runs() == []


def test_a_model_that_differs_by_case_alone_is_refused_before_training(tmp_path):
    registered(tmp_path / "first.db", tmp_path, "digits")
    with pytest.raises(InvalidNameError, match="'digits'"):
        run(tmp_path / "first.db", tmp_path, model="Digits")


@pytest.mark.slow
def test_a_storage_that_turns_out_to_be_another_s_does_not_end_training(
    tmp_path, caplog
):
    root, away = tmp_path / "root", tmp_path / "away"
    registered(tmp_path / "first.db", root)
    registered(tmp_path / "second.db", tmp_path / "own")
    before = everything_in(root)
    root.rename(away)
    root.write_text("nothing can be stored below a file")

    def wrap(strategy):
        class Returning(type(strategy)):
            def configure_train(self, server_round, *args):
                if server_round == 2:
                    root.unlink()
                    away.rename(root)
                return super().configure_train(server_round, *args)

        strategy.__class__ = Returning
        return RegistryStrategy(
            strategy,
            registry=str(tmp_path / "second.db"),
            storage=root,
            model="m",
            timeout_seconds=1,
        )

    with caplog.at_level(logging.INFO, "flwr"):
        outcome = play(find("message-FedAvg"), Play(wrap=wrap))
    assert outcome == play(find("message-FedAvg"), Play())
    errors = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "belongs to another registry" in errors[0].getMessage()
    after = everything_in(root)
    assert {path for path in after if "leases" not in path.parts} == set(before)
