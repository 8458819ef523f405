"""Reading and checking the audit log through the registry."""

import io
import json
import os

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from flwr_registry.errors import SealError
from flwr_registry.registry import audit_reading
from flwr_registry.registry.signed_heads import read_heads, sign_head


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    monkeypatch.setattr(audit_reading, "_BATCH", 2)


def guard_off(sql, backend):
    """Take the guard away, as someone with all rights can."""
    if backend == "sqlite":
        for row in sql("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            sql(f"DROP TRIGGER {row['name']}")
    else:
        sql("ALTER TABLE model_audit_logs DISABLE TRIGGER USER")


@pytest.fixture
def changed(registry, add):
    for value in range(5):
        add(value)
    registry.promote("digits:1.2.0", actor="ann", reason="good enough")
    return registry


def test_entries_are_listed_newest_first(changed):
    newest = changed.audit(limit=1)[0]
    assert (newest.action, newest.actor, newest.version) == ("promote", "ann", "1.2.0")
    assert len(changed.audit()) == 6
    assert {each.action for each in changed.audit(action="register")} == {"register"}
    assert changed.audit("cats") == []


def test_a_sound_log_and_one_that_was_cut(changed, sql, backend):
    check = changed.verify_audit()
    assert (check.entries, check.problems) == (6, ())
    assert check.newest_hash == changed.audit(limit=1)[0].entry_hash
    guard_off(sql, backend)
    sql("DELETE FROM model_audit_logs WHERE action = 'promote'")
    assert changed.verify_audit().problems == ()
    (problem,) = changed.verify_audit(expect_hash=check.newest_hash).problems
    assert "cut off" in problem


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE model_audit_logs SET actor = 'eve' WHERE id = 3",
        "UPDATE model_audit_logs SET details = '{}' WHERE id = 3",
        "DELETE FROM model_audit_logs WHERE id = 3",
    ],
)
def test_edited_and_removed_entries_are_found(changed, sql, backend, damage):
    guard_off(sql, backend)
    sql(damage)
    assert changed.verify_audit().problems


@pytest.mark.parametrize(
    "damage",
    ["details = '[1, {'", "timestamp = 'nonsense'"],
)
def test_an_edited_entry_is_listed_with_what_it_still_tells(
    changed, sql, backend, damage
):
    if backend != "sqlite":
        pytest.skip("PostgreSQL holds no such value")
    guard_off(sql, backend)
    sql(f"UPDATE model_audit_logs SET {damage} WHERE action = 'promote'")
    newest = changed.audit(limit=1)[0]
    assert (newest.action, newest.actor) == ("promote", "ann")
    assert len(changed.audit("digits")) == len(changed.audit()) == 6


def test_the_export_is_all_that_hashes_are_computed_over(changed, tmp_path):
    file = io.StringIO()
    assert changed.export_audit(file) == 6
    assert changed.export_audit(tmp_path / "audit.jsonl") == 6
    assert (tmp_path / "audit.jsonl").read_text() == file.getvalue()
    entries = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [each["id"] for each in entries] == sorted(each["id"] for each in entries)
    hashes = [each["entry_hash"] for each in entries]
    assert [each["previous_hash"] for each in entries[1:]] == hashes[:-1]
    assert entries[-1]["reason"] == "good enough"


@pytest.fixture(params=["ed25519", "ecdsa"])
def keys(request, tmp_path):
    """Files of a private and its public key."""
    if request.param == "ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        key = ec.generate_private_key(ec.SECP256R1())
    private, public = tmp_path / "audit.pem", tmp_path / "audit.pub"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM,
            serialization.PublicFormat.SubjectPublicKeyInfo,
        )
    )
    return private, public


def test_signed_heads_show_that_the_tail_was_cut_or_written_anew(
    changed, sql, backend, keys, tmp_path
):
    private, public = keys
    heads = tmp_path / "heads.jsonl"
    assert changed.sign_audit_head(private, heads=heads).entries == 6
    changed.pin("digits:1.2.0")
    changed.sign_audit_head(private, heads=heads)

    def check():
        return changed.verify_audit(heads=heads, public_key=public).problems

    assert check() == ()
    guard_off(sql, backend)
    sql("DELETE FROM model_audit_logs WHERE action = 'pin'")
    assert changed.verify_audit().problems == ()
    (cut,) = check()
    assert "had 7 entries" in cut and "has 6" in cut
    changed.archive("digits:1.0.0")
    (other,) = check()
    assert "is not the one that was signed" in other


SM2 = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqBHM9VAYItBG0wawIBAQQg1JSGV9oqMT8E9Ea2
BA/G3ocawwQURyafzfru/Eob6GmhRANCAARnR2A+5IL2IxMUCvY/IjTbrKQTGHfV
ZHKjZqLf0qAwT1Cb6u/TWW7HWUTaGMxH3WWtkdh09aA1oV3rdN3qMRAt
-----END PRIVATE KEY-----
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoEcz1UBgi0DQgAEZ0dgPuSC9iMTFAr2PyI026ykExh3
1WRyo2ai39KgME9Qm+rv01lux1lE2hjMR91lrZHYdPWgNaFd63Td6jEQLQ==
-----END PUBLIC KEY-----
"""


def test_a_key_of_another_curve_is_refused(tmp_path):
    private, public = tmp_path / "key.pem", tmp_path / "key.pub"
    end = SM2.index("-----BEGIN PUBLIC")
    private.write_text(SM2[:end]), public.write_text(SM2[end:])
    with pytest.raises(SealError, match="neither Ed25519 nor ECDSA"):
        sign_head(1, "0" * 64, private)
    with pytest.raises(SealError, match="neither Ed25519 nor ECDSA"):
        read_heads(tmp_path / "heads.jsonl", public)


def test_heads_and_keys_that_cannot_be_used(changed, keys, tmp_path):
    private, public = keys
    heads = tmp_path / "heads.jsonl"
    changed.sign_audit_head(private, heads=heads)
    assert os.name == "nt" or heads.stat().st_mode & 0o077 == 0
    told = json.loads(heads.read_text())
    for bad in ("{", "[]", "", json.dumps({**told, "entries": 5})):
        heads.write_text(bad)
        with pytest.raises(SealError):
            changed.verify_audit(heads=heads, public_key=public)
    with pytest.raises(SealError, match="openssl genpkey"):
        changed.sign_audit_head(public)
    with pytest.raises(SealError, match="pubout"):
        changed.verify_audit(heads=heads, public_key=private)
    with pytest.raises(SealError, match="cannot be read"):
        changed.sign_audit_head(tmp_path / "none.pem")
