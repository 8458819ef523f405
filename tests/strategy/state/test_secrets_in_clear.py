"""Secrets in the state of a strategy are told of, once, by their names alone."""

import logging
import random

import numpy as np
import pytest
import torch
from federation.clients import NumpyClients, floating_model
from federation.in_process_grid import InProcessGrid, to_record
from flwr.serverapp.strategy import FedAdam, FedAvg

from flwr_registry import RegistryStrategy
from flwr_registry.strategy.state.exporting import export_state
from flwr_registry.strategy.state.secrets_in_clear import secrets_in


class Fetching(FedAvg):
    """Gets a new token in each round."""

    def __init__(self):
        super().__init__()
        self.constant_password = "of-the-constructor"
        self.session_token = ""
        self.service = {"url": "", "api_key": None}

    def aggregate_train(self, server_round, replies):
        self.session_token = f"planted-{server_round}"
        self.service["url"] = "https://ann:planted@example.org"
        return super().aggregate_train(server_round, replies)


@pytest.mark.parametrize("strategy", [FedAvg, FedAdam])
def test_flower_s_own_strategies_hold_none(strategy):
    assert secrets_in(export_state(strategy()).tree) == ()


def test_names_and_texts_tell():
    strategy = Fetching()
    strategy.aggregate_train(1, [])
    found = secrets_in(export_state(strategy).tree)
    assert found == ("constant_password", "session_token", "service.url")


def test_arrays_and_generators_are_numbers_whatever_their_parts_are_called():
    strategy = FedAvg()
    strategy.draws = [np.random.RandomState(1), np.random.default_rng(1)]
    strategy.session = {"generator": random.Random(1), "torch": torch.Generator()}
    strategy.attention = {"key": np.ones(3), "token_embedding": {"w": torch.ones(2)}}
    strategy.token_table = torch.nn.Embedding(3, 2)
    assert secrets_in(export_state(strategy).tree) == ()
    strategy.session["cookie"] = "planted"
    strategy.attention["secret"] = b"planted"
    found = secrets_in(export_state(strategy).tree)
    assert found == ("session", "attention.secret")


def run(folder, rounds=2):
    wrapped = RegistryStrategy(
        Fetching(), registry=folder / "registry.db", storage=folder / "store"
    )
    grid = InProcessGrid(NumpyClients())
    wrapped.start(grid, to_record(floating_model()), num_rounds=rounds)


def test_what_lies_in_clear_is_named_once(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    run(tmp_path)
    (line,) = [each for each in caplog.messages if "in clear" in each]
    assert "session_token" in line and "service.url" in line
    assert "planted" not in line and "constant_password" not in line
    caplog.clear()
    monkeypatch.setenv("FLWR_REGISTRY_NODE_KEY", "a key")
    run(tmp_path, rounds=1)
    assert not [each for each in caplog.messages if "in clear" in each]
