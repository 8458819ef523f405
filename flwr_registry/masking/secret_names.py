"""Which names of settings say that their values are secret."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

__all__ = ["is_secret_name"]

_HUMP = re.compile(r"(?<=[^\W\dA-Z_])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_GAP = re.compile(r"[\W_]+")

# Found anywhere, since people write names without gaps too.
_STEMS = re.compile(
    r"secret|passw|passphrase|passcode|passkey|pwd|credential|token(?!i[sz])|webhook|"
    r"(?:api|access|account|auth|private|secret|shared|signing|encryption|ssh|master|"
    r"license|licence|service|storage|registry|node|seal|aes|hmac|rsa|ecdsa|ed\d+|gpg|"
    r"pgp|tls|ssl|jwt|wpa|cipher|crypto|encrypt|decryption|root|session|recovery|backup|"
    r"deploy)keys?(?![a-z])|"
    r"conn(?:ection|ect)?str(?:ing)?|sharedaccess|cookie|bearer|signature|mnemonic|"
    r"seed(?:phrase|words?)|(?:recovery|backup)codes?|kennwort|contrasena|motdepasse"
)
# In words.
_LONGEST_STEM = 6
_WORDS = {
    *("auth", "authn", "authentication", "authorization", "oauth", "jwt", "csrf"),
    *("session", "sessions", "sessionid", "sid", "dsn", "sas", "sig", "hmac", "salt"),
    *("pin", "pins", "otp", "totp", "mfa", "nonce", "pass", "pw", "cred", "creds"),
    *("key", "pem", "keystore", "netrc", "apikey", "apikeys"),
}
# Words of which these are the end, and others that end so.
_ENDS = ("pass", "pw", "psk")
_HARMLESS_ENDS = re.compile(
    r"(?:by|com|encom|sur|tres|over|under|low|high|band|all|single|multi|one|first|"
    r"second|forward|backward)pass"
)
# The word in the name, and one beside it with which it means something else.
_HARMLESS = {
    "pass": {"forward", "backward", "low", "high", "band", "single", "multi"},
    "pin": {"memory"},
    "key": {
        *("by", "record", "arrayrecord", "configrecord", "metricrecord", "metric"),
        *("metrics", "sort", "group", "label", "target", "feature", "column", "image"),
        *("input", "output", "data", "dataset", "array", "arrays", "config", "weight"),
        *("weights", "partition", "index", "primary", "foreign", "loss", "accuracy"),
        *("size", "length", "bits", "field", "dim", "heads", "point", "points"),
    },
}
_COUNTS = {"num", "max", "min", "n", "number", "total", "avg", "mean"}
_MEASURES = {
    *("count", "size", "length", "len", "limit", "dim", "bits", "bytes", "timeout"),
    *("per", "every", "rate", "ratio", "weight", "budget", "window", "width", "batch"),
    *("seconds", "minutes", "hours", "days", "ttl", "lifetime", "expiry", "retries"),
}


def is_secret_name(name: str, value: Any = None) -> bool:
    """Tell whether a name says that what stands under it is secret.

    Any spelling counts: ``api_key``, ``API-Key``, ``apiKey``, ``db.apikey``.

    Parameters
    ----------
    value : object
        A fraction is none, and no whole number under a name that counts or measures,
        such as ``max_tokens`` or ``session_timeout``.
    """
    words = _words_of(name)
    if isinstance(value, float):
        return False
    counts = words and (words[0] in _COUNTS or _MEASURES & set(words))
    if isinstance(value, int) and counts:
        return False
    # A word may end a stem, and go on with another: "private_key_data".
    ends = range(1, len(words) + 1)
    joined = ("".join(words[max(0, end - _LONGEST_STEM) : end]) for end in ends)
    if any(map(_STEMS.search, ["".join(words), *joined])):
        return True
    return any(
        _is_secret_word(word) and not _is_harmless(words, place)
        for place, word in enumerate(words)
    )


def _words_of(name: str) -> list[str]:
    apart = _HUMP.sub(" ", unicodedata.normalize("NFKC", name))
    words = (word.casefold().strip("0123456789") for word in _GAP.split(apart))
    return [word for word in words if word]


def _is_secret_word(word: str) -> bool:
    joined = word.endswith(_ENDS) and not _HARMLESS_ENDS.fullmatch(word)
    return joined or word in _WORDS


def _is_harmless(words: list[str], place: int) -> bool:
    beside = {*words[max(0, place - 1) : place], *words[place + 1 : place + 2]}
    return bool(beside & _HARMLESS.get(words[place], set()))
