"""Heads of the audit log, signed and kept elsewhere: entries cut off later are seen."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flwr_registry.canonical_json import canonical_json
from flwr_registry.errors import SealError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.types import (
        PrivateKeyTypes,
        PublicKeyTypes,
    )

__all__ = ["SignedHead", "missing_heads", "read_heads", "sign_head"]


@dataclass(frozen=True, slots=True)
class SignedHead:
    """How long the audit log was, and its newest hash, at some time.

    Attributes
    ----------
    entries : int
        How many there were.
    entry_hash : str
        Of the newest one.
    signed_at : str
        When, by the clock of who signed it.
    signature : str
        Base64, over the other fields in the form of RFC 8785.
    """

    entries: int
    entry_hash: str
    signed_at: str
    signature: str = ""

    def content(self) -> bytes:
        """Return what is signed."""
        return canonical_json(
            {
                "purpose": "audit head",
                "entries": self.entries,
                "entry_hash": self.entry_hash,
                "signed_at": self.signed_at,
            }
        )

    def line(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(
            {
                "entries": self.entries,
                "entry_hash": self.entry_hash,
                "signed_at": self.signed_at,
                "signature": self.signature,
            }
        )


def sign_head(entries: int, entry_hash: str, key: Path) -> SignedHead:
    """Sign a head with a private key: Ed25519, or ECDSA on a NIST curve.

    Raises
    ------
    SealError
        For a key that cannot be read or used.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    private = _private_key(key)
    head = SignedHead(entries, entry_hash, datetime.now(UTC).isoformat())
    match private:
        case ed25519.Ed25519PrivateKey():
            signature = private.sign(head.content())
        case ec.EllipticCurvePrivateKey():
            signature = private.sign(head.content(), _ecdsa())
        case _:
            raise _other_kind(key)
    signed = base64.b64encode(signature).decode()
    return SignedHead(head.entries, head.entry_hash, head.signed_at, signed)


def read_heads(file: Path, public_key: Path) -> list[SignedHead]:
    """Read signed heads, one a line, and check each signature.

    Raises
    ------
    SealError
        For a key or file that cannot be read, or a signature that is wrong.
    """
    key = _public_key(public_key)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise SealError(f"the signed heads {file} cannot be read: {error}") from error
    heads = [
        _read_head(line, f"line {number} of {file}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not heads:
        raise SealError(
            f"{file} holds no signed head: 'flwr-registry audit sign-head' writes one"
        )
    for head in heads:
        _check(head, key, file, public_key)
    return heads


def _read_head(line: str, place: str) -> SignedHead:
    try:
        match json.loads(line):
            case {
                "entries": int(entries),
                "entry_hash": str(entry_hash),
                "signed_at": str(signed_at),
                "signature": str(signature),
            }:
                return SignedHead(entries, entry_hash, signed_at, signature)
    except (ValueError, RecursionError):
        pass
    raise SealError(f"{place} is no signed head")


def _check(head: SignedHead, key: PublicKeyTypes, file: Path, place: Path) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    try:
        signature = base64.b64decode(head.signature, validate=True)
        match key:
            case ed25519.Ed25519PublicKey():
                key.verify(signature, head.content())
            case ec.EllipticCurvePublicKey():
                key.verify(signature, head.content(), _ecdsa())
            case _:
                raise _other_kind(place)
    except (InvalidSignature, ValueError) as error:
        raise SealError(
            f"the head of {head.signed_at} in {file} was not signed with the key of "
            f"{place}, or was changed afterwards"
        ) from error


def _private_key(file: Path) -> PrivateKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(_bytes_of(file), password=None)
    except UnsupportedAlgorithm as error:
        raise _other_kind(file) from error
    except TypeError as error:
        raise SealError(
            f"the key {file} has a password: give a copy without one, which 'openssl "
            "pkey -in KEY -out COPY' writes"
        ) from error
    except ValueError as error:
        raise SealError(
            f"{file} is no private key in PEM: 'openssl genpkey -algorithm ed25519 "
            "-out FILE' makes one"
        ) from error


def _public_key(file: Path) -> PublicKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        return load_pem_public_key(_bytes_of(file))
    except UnsupportedAlgorithm as error:
        raise _other_kind(file) from error
    except ValueError as error:
        raise SealError(
            f"{file} is no public key in PEM: 'openssl pkey -in KEY -pubout -out FILE' "
            "writes that of a private one"
        ) from error


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SealError(f"the key {file} cannot be read: {error.strerror}") from error


def _ecdsa() -> ec.ECDSA:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.ECDSA(hashes.SHA256())


def _other_kind(file: Path) -> SealError:
    return SealError(f"the key {file} is neither Ed25519 nor ECDSA on a NIST curve")


def missing_heads(heads: Sequence[SignedHead], entries: int) -> list[str]:
    """Say which heads are of a longer log than there is."""
    return [
        f"the log had {head.entries} entries at {head.signed_at}, and has {entries}: "
        "entries were cut off, or it is another log"
        for head in heads
        if head.entries > entries
    ]
