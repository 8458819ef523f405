"""Seals by a key that only those hold who may write: HMAC-SHA256 over content.

A digest shows that content was damaged, but whoever can write to a storage writes the
digest anew. A seal shows that, too.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import Any

from flwr_registry.canonical_json import canonical_json, interoperable
from flwr_registry.errors import SealError

__all__ = ["SEAL_KEY_VARIABLE", "check_seal", "make_seal", "require_key", "seal_key"]

SEAL_KEY_VARIABLE = "FLWR_REGISTRY_SEAL_KEY"
_MIN_CHARACTERS = 16


def seal_key() -> bytes | None:
    """Return the key of ``FLWR_REGISTRY_SEAL_KEY``; None when it is not set.

    Raises
    ------
    SealError
        For a key that is too short, or that has white space at its ends.
    """
    key = os.environ.get(SEAL_KEY_VARIABLE, "")
    if not key:
        return None
    advice = "take the output of 'openssl rand -hex 32'"
    if key != key.strip():
        raise SealError(
            f"{SEAL_KEY_VARIABLE} begins or ends with white space, which is easily "
            f"lost on the way to another machine: remove it, or {advice}"
        )
    if len(key) < _MIN_CHARACTERS:
        raise SealError(
            f"{SEAL_KEY_VARIABLE} has {len(key)} characters, too few to be safe: "
            f"{advice}; at least {_MIN_CHARACTERS} are needed"
        )
    return key.encode("utf-8", "surrogateescape")


def require_key() -> None:
    """Refuse to go on without a key.

    Raises
    ------
    SealError
        When none is set, or one that cannot be used.
    """
    if seal_key() is None:
        raise SealError(
            f"{SEAL_KEY_VARIABLE} is not set: set it to the output of 'openssl rand "
            "-hex 32', here and wherever runs are resumed"
        )


def make_seal(purpose: str, content: Mapping[str, Any]) -> str | None:
    """Return the seal of content; None when no key is set.

    Parameters
    ----------
    purpose : str
        What the content is: a seal counts for nothing else.
    """
    key = seal_key()
    return None if key is None else _seal(key, purpose, content)


def check_seal(
    purpose: str, content: Mapping[str, Any], seal: object, *, subject: str, advice: str
) -> None:
    """Refuse content whose seal is missing or wrong; without a key all is well.

    Parameters
    ----------
    subject, advice : str
        What the content is of, and what to do where the seal is missing.

    Raises
    ------
    SealError
        Saying what to do.
    """
    key = seal_key()
    if key is None:
        return
    if seal is None:
        raise SealError(
            f"{subject} has no seal, and {SEAL_KEY_VARIABLE} is set, so it is refused: "
            f"{advice}"
        )
    expected = _seal(key, purpose, content)
    if not hmac.compare_digest(expected.encode(), str(seal).encode("utf-8", "replace")):
        raise SealError(
            f"the seal of {subject} was not made with the key of {SEAL_KEY_VARIABLE}, "
            "or its content was changed afterwards: set the key that it was sealed "
            f"with; where the key was changed on purpose, {advice}"
        )


def _seal(key: bytes, purpose: str, content: Mapping[str, Any]) -> str:
    sealed = canonical_json(
        {"purpose": purpose, "content": interoperable(dict(content))}
    )
    return hmac.new(key, sealed, hashlib.sha256).hexdigest()
