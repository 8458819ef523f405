"""What was acknowledged is there; an operation whose answer was lost is repeated."""

import signal
import subprocess
import sys
from datetime import timedelta

import numpy as np
import pytest
from registry.test_concurrency import ENVIRONMENT

from flwr_registry.registry import ModelRegistry
from flwr_registry.storage import LocalStorageBackend

pytestmark = pytest.mark.slow

ACKNOWLEDGED = """
import os, signal, sys
import numpy as np
from flwr_registry.registry import ModelRegistry

registry = ModelRegistry(*sys.argv[1:3])
made = registry.register({"layer": np.ones(4, np.float32)}, model="digits")
registry.promote(made.reference)
os.kill(os.getpid(), signal.SIGKILL)
"""
CUT_OFF = """
import os, sys
import numpy as np
from sqlalchemy import event
from sqlalchemy.orm import Session
from flwr_registry.registry import ModelRegistry

url, storage, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
registry = ModelRegistry(url, storage)
commits = []

@event.listens_for(Session, "after_flush")
def note(session, _):
    session.info["writes"] = True

@event.listens_for(Session, "after_commit")
def end(session):
    if session.info.get("writes") and not session.in_nested_transaction():
        commits.append(session)
    if len(commits) == last:
        os._exit(9)

weights = {"layer": np.ones(4, np.float32)}
registry.register(weights, model="digits", version="1.0.0")
"""


def run(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )


def test_what_was_acknowledged_survives_a_kill(registry, database_url, tmp_path):
    ended = run(ACKNOWLEDGED, database_url, tmp_path / "weights")
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert registry.production("digits").version == "1.0.0"
    np.testing.assert_array_equal(registry.load("digits")["layer"], np.ones(4))


@pytest.mark.parametrize("last", [1, 2], ids=["reserved", "committed"])
def test_a_registration_whose_answer_was_lost_is_repeated(
    registry, database_url, tmp_path, last
):
    ended = run(CUT_OFF, database_url, tmp_path / "weights", last)
    assert ended.returncode == 9, ended.stderr
    assert len(registry.list("digits")) == last - 1
    weights = {"layer": np.ones(4, np.float32)}
    again = registry.register(weights, model="digits", version="1.0.0")
    assert [each.id for each in registry.list("digits")] == [again.id]
    np.testing.assert_array_equal(registry.load("digits")["layer"], np.ones(4))


@pytest.mark.parametrize("backend", ["postgresql"])
def test_no_transaction_is_open_while_bytes_are_read(
    registry, add, database_url, sql, tmp_path
):
    add(1)
    open_transactions = []

    class Watched(LocalStorageBackend):
        def open(self, key):
            open_transactions.append(
                sql(
                    "SELECT pid FROM pg_stat_activity WHERE datname = "
                    "current_database() AND state LIKE 'idle in transaction%'"
                )
            )
            return super().open(key)

    with ModelRegistry(database_url, Watched(tmp_path / "weights")) as watched:
        watched.load("digits")
        watched.promote("digits:1.0.0")
    assert open_transactions == [[], []]


def test_no_order_depends_on_a_clock(registry, add, sql):
    first = add(1)
    tomorrow = first.created_at + timedelta(days=1)
    registry.promote(first.reference)
    for table in ("model_versions", "promotions"):
        sql(f"UPDATE {table} SET created_at = :at", at=tomorrow)
    second = add(2)
    assert registry.latest("digits").version == second.version
    registry.promote(second.reference)
    assert [each.to_version for each in registry.history("digits")] == [
        second.version,
        first.version,
    ]
    assert registry.rollback("digits").version == first.version
