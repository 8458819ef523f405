"""Strategy state that only who has the node key can read.

State may name nodes in any form: a list of ids, keys of a dictionary, an order. What is
encrypted is therefore all of it, and the random state, never what looks like an id.
AES-256-GCM (NIST SP 800-38D) in frames, each with its number and whether it is the
last, so that frames can be neither moved nor cut off; a key of each file's own is
derived from the node key by HKDF-SHA256 (RFC 5869) under a random salt.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from flwr_registry.errors import CheckpointError, ResumeError
from flwr_registry.storage import Content

__all__ = ["EncryptedContent", "EncryptedStateError", "StateCipher", "check_encrypted"]

_MARK = b"FLWRAES1"
_SALT_BYTES = 16
_KEY_BYTES = 32
_TAG_BYTES = 16
_HEAD_BYTES = len(_MARK) + _SALT_BYTES
_FRAME_BYTES = 4 * 1024 * 1024
_INFO = b"flwr_registry strategy state"


class EncryptedStateError(ResumeError):
    """The state of a checkpoint is encrypted, and the node key is not the one of it."""


def check_encrypted(data: bytes | bytearray) -> None:
    """Refuse what was never encrypted here: no node key would make it readable.

    Raises
    ------
    CheckpointError
        When the mark is missing, or it is too short for the head and one frame.
    """
    if not data.startswith(_MARK) or len(data) < _HEAD_BYTES + _TAG_BYTES:
        raise CheckpointError("its encrypted state is damaged")


@dataclass(frozen=True)
class StateCipher:
    """Encrypts and decrypts state under a node key.

    Attributes
    ----------
    node_key : str
        Any text; a long random one cannot be guessed.
    """

    node_key: str = field(repr=False)

    def encrypted(self, content: Content, purpose: str) -> EncryptedContent:
        """Return a content, encrypted while it is gone over.

        Parameters
        ----------
        purpose : str
            What it is; decrypted as something else it is refused.
        """
        return EncryptedContent(content, self, purpose)

    def decrypted(self, data: bytes | bytearray, purpose: str) -> bytearray:
        """Return what was encrypted for a purpose.

        Raises
        ------
        EncryptedStateError
            When it was encrypted under another key, for something else, or is altered.
        """
        from cryptography.exceptions import InvalidTag

        view, plain = memoryview(data), bytearray()
        cipher = self.cipher_of(bytes(view[len(_MARK) : _HEAD_BYTES]))
        size = _FRAME_BYTES + _TAG_BYTES
        starts = range(_HEAD_BYTES, max(len(view), _HEAD_BYTES + 1), size)
        try:
            for number, start in enumerate(starts):
                nonce = _nonce(number, is_last=start + size >= len(view))
                frame = view[start : start + size]
                plain += cipher.decrypt(nonce, frame, purpose.encode())
        except InvalidTag as error:
            raise EncryptedStateError(
                f"the {purpose} was encrypted under another node key than this one, "
                "or for another checkpoint: set FLWR_REGISTRY_NODE_KEY, or "
                "ModelRegistry(node_key=...), to the key that the run had"
            ) from error
        return plain

    def cipher_of(self, salt: bytes) -> Any:
        """Return the cipher of one file."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        derived = HKDF(SHA256(), _KEY_BYTES, salt, _INFO)
        return AESGCM(derived.derive(self.node_key.encode("utf-8", "surrogatepass")))


@dataclass(frozen=True)
class EncryptedContent:
    """A content that is encrypted whenever it is gone over, each time alike."""

    content: Content
    cipher: StateCipher
    purpose: str

    @cached_property
    def _salt(self) -> bytes:
        return os.urandom(_SALT_BYTES)

    @property
    def size_bytes(self) -> int:
        """Length of all frames together."""
        frames = max(1, -(-self.content.size_bytes // _FRAME_BYTES))
        return _HEAD_BYTES + self.content.size_bytes + frames * _TAG_BYTES

    def __iter__(self) -> Iterator[memoryview]:
        """Give the head, then the frames."""
        yield memoryview(_MARK + self._salt)
        # A key that only this file has: numbers alone make its nonces differ.
        cipher, left = self.cipher.cipher_of(self._salt), self.content.size_bytes
        for number, frame in enumerate(_frames(self.content)):
            left -= len(frame)
            nonce = _nonce(number, is_last=left == 0)
            yield memoryview(cipher.encrypt(nonce, frame, self.purpose.encode()))


def _frames(content: Content) -> Iterator[bytes]:
    """Cut a content into frames, at least one; all but the last are full."""
    buffer = bytearray()
    for piece in content:
        remaining = piece.cast("B") if piece.nbytes else piece
        while remaining.nbytes:
            missing = _FRAME_BYTES - len(buffer)
            buffer += remaining[:missing]
            remaining = remaining[missing:]
            if len(buffer) == _FRAME_BYTES:
                yield bytes(buffer)
                buffer.clear()
    if buffer or not content.size_bytes:
        yield bytes(buffer)


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])
