"""A database that was lost: whatever is asked names the way back."""

from itertools import chain

import numpy as np
import pytest
from cli.test_messages import KNOWN
from registry.samples import facts_of, weights_of

from flwr_registry.checkpointing import (
    CheckpointContent,
    CheckpointManager,
    FinishedRound,
)
from flwr_registry.records import RoundStatus, RunProvenance, StoredObject
from flwr_registry.registry import ModelRegistry


@pytest.fixture
def lost(tmp_path, monkeypatch):
    """A storage with a version and its checkpoint, the database gone."""
    provenance = RunProvenance("trial", "digits")
    with ModelRegistry(tmp_path / "registry.db") as opened:
        run = opened.start_run(provenance)
        made = opened.register(
            weights_of(1), model="digits", run=run, facts=facts_of(1)
        )
        stored = StoredObject(made.storage_path, made.file_size_bytes, made.checksum)
        finished = FinishedRound(
            gave_model=True,
            status=RoundStatus.REGISTERED,
            version="1.0.0",
            weights=stored,
            fingerprint=made.fingerprint,
        )
        content = CheckpointContent(
            server_round=1,
            model="digits",
            version="1.0.0",
            weights=stored,
            rounds={1: finished},
            provenance=provenance,
        )
        CheckpointManager(opened.storage, "trial").save(content)
    (tmp_path / "registry.db").unlink()
    np.save(tmp_path / "inputs.npy", np.ones((200, 2)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


# What a command is given that must be given something.
GIVEN = {
    "reference": "digits:1.0.0",
    "model": "digits",
    "name": "trial",
    "node": "7",
    "a": "digits:1.0.0",
    "b": "digits:1.0.0",
    "alias": "champion",
    "metric": "accuracy",
    "older_than": "30d",
    "tags": "site=north",
    "inputs": "inputs.npy",
    "path": "digits.bundle",
    "folder": "digits",
    "key": "key.pem",
    "signature": "digits.sig",
}
MORE = {("verify",): ("--all",), ("describe",): ("--description", "x")}
# They make a database where there is none.
MAKING = {("register",), ("import",)}


def asking():
    """Give a call of each command that asks a database."""
    for words, command in KNOWN.items():
        if not getattr(command, "commands", None) and words not in MAKING:
            needed = [each for each in command.params if each.required]
            given = [
                ((each.opts[0],) if each.param_type_name == "option" else ())
                + (GIVEN[each.name],)
                for each in needed
            ]
            yield (*words, *chain(*given), *MORE.get(words, ()))


ASKING = list(asking())
# What reads: the others change what is asked next, or have no end.
READING = [
    ("list",),
    ("list", "digits"),
    ("show", "digits:1.0.0"),
    ("search", "round = 1"),
    ("lineage", "digits"),
    ("verify", "--all"),
    ("gc",),
    ("promote", "digits:1.0.0"),
    ("run", "release", "trial"),
    ("audit", "list"),
    ("doctor",),
    ("where",),
]


def said(result):
    return result.stdout + result.stderr


def test_each_verb_names_the_way_back(run_command, lost):
    assert len(ASKING) > 30
    for words in ASKING:
        shown = said(run_command(*words, code=int(words != ("where",))))
        assert "checkpoints of the runs trial and files of 1 version" in shown, words
        assert f"doctor --rebuild --registry sqlite:///{lost}/registry.db" in shown
    ModelRegistry(lost / "registry.db").close()
    for words in READING:
        result = run_command(*words, code=None)
        assert "doctor --rebuild" in said(result), words
    assert "1 version came back" in run_command("doctor", "--rebuild").stdout
    for words in READING:
        result = run_command(*words, code=None)
        assert "doctor --rebuild" not in said(result), words


def test_a_version_that_only_the_storage_has_is_told_of(run_command, lost):
    with ModelRegistry(lost / "registry.db") as opened:
        opened.register(weights_of(2), model="digits", version="2.0.0")
    assert "does not know" in run_command("show", "digits:1.0.0", code=1).stderr
    assert "does not know" not in run_command("show", "digits:1.9.0", code=1).stderr
    assert "does not know" not in run_command("list").stderr


def test_another_registry_s_storage_is_adopted_when_that_is_said(run_command, lost):
    with ModelRegistry(lost / "first.db", lost) as opened:
        opened.register(weights_of(2), model="letters")
    with ModelRegistry(lost / "registry.db", lost / "own") as opened:
        opened.register(weights_of(3), model="faces")
    refused = run_command("doctor", "--rebuild", code=1).stderr
    assert "--storage, FLWR_REGISTRY_STORAGE" in refused
    assert "--adopt" in run_command("doctor", code=1).stdout
    shown = run_command("doctor", "--rebuild", "--adopt", code=None).stdout
    assert "1 version came back" in shown
    assert f"{lost} is the storage of sqlite:///{lost}/registry.db now" in shown
    assert "digits:1.0.0 is sound" in run_command("verify", "digits:1.0.0").stdout
    shown = run_command("doctor", "--adopt", code=None).stdout
    assert f"{lost} is this registry's already" in shown


def test_gc_says_why_it_removes_nothing(run_command, tmp_path):
    with ModelRegistry(tmp_path / "first.db") as opened:
        opened.register(weights_of(1), model="digits")
    with ModelRegistry(tmp_path / "registry.db") as opened:
        opened.register(weights_of(2), model="digits")
    shown = run_command("gc", "--keep-latest", "1", "--yes").stdout
    assert f"nothing is removed: the storage {tmp_path} is also that of" in shown
