"""A consumer with a public key trusts neither database nor storage."""

import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from registry.samples import facts_of

from flwr_registry.errors import InvalidStateError, SealError
from flwr_registry.records import RunProvenance
from flwr_registry.retention import LatestN


@pytest.fixture
def keys(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = tmp_path / "key.pem", tmp_path / "key.pub"
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


@pytest.mark.slow
def test_what_was_signed_is_told_from_all_else(registry, add, sql, keys, tmp_path):
    private, public = keys
    signature = tmp_path / "digits-1.0.0.sig"
    add(1), add(2)
    assert registry.sign("digits:1.0.0", private, signature).version == "1.0.0"
    registry.verify_signature("digits:1.0.0", signature, public)
    with pytest.raises(SealError, match="do not use it"):
        registry.verify_signature("digits:1.1.0", signature, public)
    folder = tmp_path / "digits-1.0.0"
    folder.mkdir()
    registry.export("digits:1.0.0", folder / "digits-1.0.0.safetensors")
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    command += ["--signature", str(signature), "--public_key", str(public)]
    subprocess.run(command, check=True)
    # Row and bytes of the other version under this number: consistent, and not signed.
    other = registry.get("digits:1.1.0")
    sql(
        "UPDATE model_versions SET checksum = :sha, storage_path = :path "
        "WHERE version = '1.0.0'",
        sha=other.checksum,
        path=other.storage_path,
    )
    with pytest.raises(SealError, match="do not use it"):
        registry.verify_signature("digits:1.0.0", signature, public)
    with pytest.raises(SealError, match="openssl"):
        registry.sign("digits:1.1.0", public, tmp_path / "other.sig")


def test_what_must_not_be_used_or_has_no_bytes_is_not_signed(
    registry, add, keys, tmp_path
):
    private, signature = keys[0], tmp_path / "version.sig"
    run = registry.start_run(RunProvenance("trial", "digits"))
    for number in range(1, 4):
        add(number, run=run, facts=facts_of(number, "5"))
    registry.gc(LatestN(1))
    run = registry.start_run(RunProvenance("trial", "cats"))
    add(3, model="cats", run=run, facts=facts_of(1, "7"))
    registry.withdraw("7", reason="consent")
    for reference, why in [("digits:1.1.0", "removed"), ("cats:1.0.0", "withdrawn")]:
        with pytest.raises(InvalidStateError, match=why):
            registry.sign(reference, private, signature)
    with pytest.raises(SealError, match="cannot sign"):
        registry.sign("digits:1.2.0", keys[1], signature)
    assert not signature.exists()
