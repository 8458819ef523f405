"""Strategy state under a node key: exact for who has it, nothing for others."""

import base64
import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from checkpointing.samples import content

from flwr_registry.checkpointing import (
    CheckpointManager,
    EncryptedStateError,
    StateCipher,
    manifests_of,
    state_cipher,
)
from flwr_registry.checkpointing.checkpoint_files import CheckpointFiles
from flwr_registry.storage import BytesContent, LocalStorageBackend

NODE = 17446744073709551615
PURPOSE = "strategy state of round 3"


@pytest.fixture
def small_frames(monkeypatch):
    monkeypatch.setattr(state_cipher, "_FRAME_BYTES", 100)


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 1000])
@pytest.mark.usefixtures("small_frames")
def test_what_is_encrypted_comes_back(size):
    plain = bytes(range(256)) * 4
    made = StateCipher("key").encrypted(BytesContent(plain[:size]), PURPOSE)
    data = b"".join(made)
    assert len(data) == made.size_bytes
    assert b"".join(made) == data
    assert StateCipher("key").decrypted(data, PURPOSE) == plain[:size]


@pytest.mark.parametrize("change", ["cut", "short", "swap", "flip", "salt", "empty"])
@pytest.mark.usefixtures("small_frames")
def test_what_was_altered_is_refused(change):
    data = b"".join(StateCipher("key").encrypted(BytesContent(bytes(300)), PURPOSE))
    head, frames = data[:24], [data[at : at + 116] for at in range(24, len(data), 116)]
    altered = {
        "cut": b"".join([head, *frames[:2]]),
        "short": data[:-1],
        "swap": b"".join([head, frames[1], frames[0], frames[2]]),
        "flip": data[:-1] + bytes([data[-1] ^ 1]),
        "salt": data[:8] + bytes(16) + data[24:],
        "empty": head,
    }[change]
    with pytest.raises(EncryptedStateError, match="FLWR_REGISTRY_NODE_KEY"):
        StateCipher("key").decrypted(altered, PURPOSE)


def test_another_key_or_purpose_is_refused():
    data = b"".join(StateCipher("key").encrypted(BytesContent(b"x"), PURPOSE))
    for key, purpose in (("other", PURPOSE), ("key", "strategy state of round 4")):
        with pytest.raises(EncryptedStateError, match="another node key"):
            StateCipher(key).decrypted(data, purpose)
    assert "key" not in repr(StateCipher("key")).replace("node_key", "")


@pytest.fixture
def saved(tmp_path):
    storage = LocalStorageBackend(tmp_path)
    arrays = {"ids": np.array([NODE], np.uint64), "f": np.asfortranarray(np.eye(3, 2))}
    held = content(
        server_round=3,
        state={"order": [str(NODE)], "ids": {"$array": "ids"}},
        state_arrays=arrays,
        random_state={"seen": str(NODE)},
    )
    CheckpointManager(storage, "trial", cipher=StateCipher("key")).save(held)
    return storage, held


def test_no_node_id_is_in_a_checkpoint(saved, tmp_path):
    forms = (str(NODE).encode(), struct.pack("<Q", NODE), hex(NODE)[2:].encode())
    for path in filter(lambda each: each.is_file(), tmp_path.rglob("*")):
        assert not [form for form in forms if form in path.read_bytes()], path


def test_the_state_comes_back_exactly(saved):
    storage, held = saved
    manager = CheckpointManager(storage, "trial", cipher=StateCipher("key"))
    found = manager.load_latest().content
    assert (found.state, found.random_state) == (held.state, held.random_state)
    for name, array in held.state_arrays.items():
        other = found.state_arrays[name]
        np.testing.assert_array_equal(other, array)
        assert (other.dtype, other.strides) == (array.dtype, array.strides)
        assert other.flags.writeable


@pytest.mark.parametrize("cipher", [None, StateCipher("other")])
def test_without_its_key_a_checkpoint_is_not_taken_for_damaged(saved, cipher):
    storage, _ = saved
    manager = CheckpointManager(storage, "trial", cipher=cipher)
    with pytest.raises(EncryptedStateError, match="FLWR_REGISTRY_NODE_KEY"):
        manager.load_latest()
    # What needs no state goes on: doctor, gc and rebuilding read the manifest.
    assert [
        each.manifest.content.server_round for each in manifests_of(storage, "trial")
    ]


def change_manifest(storage, server_round, **changes):
    """Let the manifest of a round say something else."""
    files = CheckpointFiles(storage, "trial")
    fields = json.loads(files.read_manifest(server_round))
    text = json.dumps({**fields, **changes}).encode()
    files.write_manifest(server_round, text, interim=False)
    files.commit(server_round, text)


@pytest.mark.parametrize("run", ["other", "trial~2"])
def test_the_state_of_another_run_is_refused(saved, run):
    storage, held = saved
    cipher = StateCipher("key")
    other = CheckpointManager(storage, run, cipher=cipher)
    other.save(replace(held, state={"order": []}, state_arrays={}))
    files = CheckpointFiles(storage, run)
    moved = json.loads(files.read_manifest(3))["encrypted"]
    change_manifest(storage, 3, encrypted=moved)
    with pytest.raises(EncryptedStateError, match="for another checkpoint"):
        CheckpointManager(storage, "trial", cipher=cipher).load_latest()


def test_the_arrays_of_another_run_are_refused(saved):
    storage, held = saved
    cipher = StateCipher("key")
    other = CheckpointManager(storage, "other", cipher=cipher)
    other.save(replace(held, state_arrays={"ids": np.zeros(1)}))
    places = CheckpointFiles(storage, "other").read_manifest(3)
    change_manifest(storage, 3, state_arrays=json.loads(places)["state_arrays"])
    with pytest.raises(EncryptedStateError, match="for another checkpoint"):
        CheckpointManager(storage, "trial", cipher=cipher).load_latest()


NO_MARK = base64.b64encode(bytes(100)).decode()
ONLY_HEAD = base64.b64encode(b"FLWRAES1" + bytes(16)).decode()


@pytest.mark.parametrize(
    "odd", ["", "x", 5, None, ["a"], "é", "AAAA", "AA AA", NO_MARK, ONLY_HEAD]
)
@pytest.mark.parametrize("cipher", [None, StateCipher("key")])
def test_what_was_never_encrypted_is_a_damaged_checkpoint(saved, cipher, odd, caplog):
    storage, _ = saved
    CheckpointManager(storage, "trial").save(content(server_round=2))
    change_manifest(storage, 3, encrypted=odd)
    manager = CheckpointManager(storage, "trial", cipher=cipher)
    assert manager.load_latest().content.server_round == 2
    assert "the checkpoint of round 3 is damaged" in caplog.text


def test_plain_checkpoints_are_read_with_a_key_and_by_older_releases(tmp_path):
    storage = LocalStorageBackend(tmp_path)
    CheckpointManager(storage, "trial").save(content(server_round=3, state={"x": 1}))
    (path,) = tmp_path.rglob("manifest.json")
    assert json.loads(path.read_bytes())["format"] == 2
    manager = CheckpointManager(storage, "trial", cipher=StateCipher("key"))
    assert manager.load_latest().content.state == {"x": 1}
