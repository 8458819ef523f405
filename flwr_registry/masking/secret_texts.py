"""Secrets in texts: user info, queries, assignments, keys of clouds, random texts."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import re
from collections import Counter

from flwr_registry.masking.secret_names import is_secret_name

__all__ = ["MASK", "masked_text", "masked_url"]

MASK = "***"

_PASSES = 6
_DIGEST_DIGITS = 8
# What is shorter, or has fewer bits a character, could be found by trying.
_SHORTEST_DIGESTED = 24
_LEAST_BITS = 3.0
_SHORTEST_RANDOM = 16
_MOST_UNLIKE_WORDS = 0.4

_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{1,60}-----.*?(?:-----END [A-Z0-9 ]{1,60}-----|\Z)", re.S
)
_SCHEME = re.compile(
    r"\b(bearer|basic|digest|negotiate|apikey)(\s+)([^\s,;\"']+)", re.I
)
_URL = re.compile(r"((?:[A-Za-z][A-Za-z0-9+.-]{0,40}:|(?<!/))//)([^\s\"'<>]*)")
_CHAINED = re.compile(r"(::)(?=[A-Za-z][A-Za-z0-9+.-]*://)")
_USER_INFO = re.compile(r"(?<![\w/])[^\s:/@\"'=]{1,100}:[^\s/]{1,200}@(?=[\w.\[-])")
_ASSIGNED = re.compile(
    r"(?<!\w)(\w[\w.-]{0,80})(\\?[\"']?\s{0,3}(=>|:=|=|:)\s{0,3})(?=\S)"
)
_QUOTED = (
    r"\\\"(?:(?!\\\").)*(?:\\\")?|\"(?:[^\"\\]|\\.|\"\")*\"?|'(?:[^'\\]|\\.|'')*'?"
)
# In braces: a value as ODBC writes it, or a mapping.
_BRACED = r"(?<==)\{(?![\"'])(?:[^}]|\}\})*\}?|\{(?:[^{}]|\{[^{}]*\}?)*\}?"
_VALUE = re.compile(
    rf"{_QUOTED}|{_BRACED}|\[[^\]]*\]?|\([^)]*\)?|[^\s,;&\"'}})\]]+", re.S
)
_REST = re.compile(r"[^\n,;&}]*")
_FLAG = re.compile(
    rf"(?<![\w-])(--?)([A-Za-z][\w-]{{0,60}})(\s+)((?:{_QUOTED}|[^\s-])\S*)", re.S
)
# Items of a list: the first, in quotes, names the next.
_LISTED = re.compile(
    rf"([\"'])([-/]{{0,2}}[^\W\d][\w.-]{{0,80}})(\1\s{{0,3}},\s{{0,3}})((?!.--){_QUOTED})",
    re.S,
)
_COLON = re.compile(r"\s{0,3}:")
# One setting whose name and value are written apart.
_APART = re.compile(
    r"\b((?:name|key|id|field|option|setting|param(?:eter)?)[\"']?\s{0,3}[:=]\s{0,3}"
    r"[\"']?)([\w.-]{1,80})([\"']?[\s,;]{1,5}[\"']?(?:value|val|content|default|data|text)"
    rf"[\"']?\s{{0,3}}[:=]\s{{0,3}})((?:{_QUOTED})|[^\s,;\"'}})\]]+)",
    re.I | re.S,
)
_TAG = re.compile(
    r"(<)([^\W\d][\w:.-]{0,80})((?:\s[^<>]{0,300})?>\s{0,9}(?:<!\[CDATA\[)?)([^<\s][^<]*)"
)
_WHOLE_LINE = re.compile(r"^\W*(?:proxy-?)?authorization|cookie", re.I)

_KNOWN_KEYS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA)[A-Z0-9]{12,}|"
    r"gh[pousr]_\w{16,}|github_pat_\w{16,}|gl(?:pat|sa|ptt|dt)[-_][\w-]{12,}|"
    r"hf_[A-Za-z0-9]{12,}|(?:sk|pk|rk)[-_][\w-]{16,}|xox[abeoprs]-[\w-]{8,}|"
    r"xapp-[\w-]{8,}|AIza[\w-]{20,}|ya29\.[\w.-]{8,}|1//[\w-]{20,}|npm_\w{16,}|"
    r"pypi-[\w-]{16,}|dckr_pat_[\w-]{12,}|SG\.[\w.-]{16,}|do[opr]_v1_\w{16,}|"
    r"shp(?:at|ca|pa|ss)_\w{12,}|whsec_\w{12,}|hv[sb]\.[\w.-]{12,}|"
    r"AGE-SECRET-KEY-1\w{16,}|eyJ[\w-]{6,}(?:\.[\w-]*){1,4}|"
    r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r")(?![A-Za-z0-9])"
)
_CLOUD_SECRET = re.compile(r"(?<![\w/+.-])[A-Za-z0-9/+]{40}(?![\w/+=.-])")
_BASE64 = re.compile(r"(?<![\w/+.~-])[A-Za-z0-9+/]{23,}={0,2}(?![\w/+.=-])")
_RUN = re.compile(r"[A-Za-z0-9_+~.=-]{16,}")
_PIECE = re.compile(r"[A-Za-z0-9]+")
_LIKE_A_WORD = re.compile(
    r"[0-9]{1,15}|(?=.{1,24}$)(?=.{1,4}$|.*[aeiouyAEIOUY])"
    r"(?:[a-z]+|(?:[A-Z]?[a-z]{2,}|[A-Z]+(?![a-z])){1,3})[0-9]{0,4}"
)
_PASSWORD = re.compile(
    r"(?<!\S)(?=\S*[a-z])(?=\S*[A-Z])(?=\S*[0-9])(?=\S*[!#$%^&~|])\S{8,64}(?!\S)"
)


def masked_text(text: str) -> str:
    """Return a text without the secrets in it; masked again, it stays as it is.

    A long random part becomes the first digits of its SHA-256, so that a change still
    shows. What a person could have chosen becomes ``***``: of that, a digest could be
    found again by trying.
    """
    for _ in range(_PASSES):
        before, text = text, _masked_once(text)
        if text == before:
            return text
    return MASK


def masked_url(url: str) -> str:
    """Return a URL, of chained ones too, that shows a place but not what opens it.

    It has no user info, and ``***`` for a query and a fragment. All else stays, random
    names of folders too.
    """
    return "".join(map(_url_without_credentials, _CHAINED.split(url)))


def _url_without_credentials(url: str) -> str:
    scheme, sign, rest = url.partition("://")
    if not sign:
        return url
    return (
        scheme + sign + _masked_query(_masked_user_info(rest)).removeprefix(f"{MASK}@")
    )


def _masked_once(text: str) -> str:
    text = _PEM.sub(lambda found: _short(found[0]), text)
    text = _SCHEME.sub(rf"\1\2{MASK}", text)
    text = _URL.sub(lambda found: found[1] + _masked_place(found[2]), text)
    text = _USER_INFO.sub(f"{MASK}@", text)
    text = _APART.sub(_masked_named, text)
    text = _LISTED.sub(_masked_item, text)
    text = _TAG.sub(_masked_named, text)
    text = _masked_assignments(text)
    text = _FLAG.sub(_masked_named, text)
    for known in (_KNOWN_KEYS, _CLOUD_SECRET):
        text = known.sub(lambda found: _short_if_mixed(found[0]), text)
    text = _BASE64.sub(_short_if_random, text)
    text = _RUN.sub(_short_if_random, text)
    return _PASSWORD.sub(_masked_password, text)


def _masked_place(rest: str) -> str:
    """Mask what follows the scheme of a URL: user info, query and fragment."""
    rest = _masked_query(_masked_user_info(rest))
    host, slash, path = rest.partition("/")
    if "hook" in rest.lower() and path.strip("/"):
        # Whoever knows the path of a webhook may call it.
        return f"{host}{slash}{MASK}"
    return rest


def _masked_user_info(rest: str) -> str:
    """Mask up to the sign before the host; a password may hold any sign as it is."""
    place = re.split("[?#]", rest, maxsplit=1)[0]
    authority = place.partition("/")[0]
    before = place.rpartition("@")[0]
    if ":" not in before:
        before = authority.rpartition("@")[0]
    has_port = authority.rpartition(":")[2].isdigit()
    if not before and ":" in authority and not has_port:
        before = rest.rpartition("@")[0]
    return f"{MASK}{rest[len(before) :]}" if before else rest


def _masked_query(rest: str) -> str:
    for mark in "?#":
        before, found, after = rest.partition(mark)
        if found and after:
            rest = f"{before}{mark}{MASK}"
    return rest


def _masked_assignments(text: str) -> str:
    """Mask what is assigned to secret names, as in ``host=db password=...``."""
    parts, at = [], 0
    for found in _ASSIGNED.finditer(text):
        name, _, sign = found.groups()
        if found.start() < at or not is_secret_name(name):
            continue
        value = _VALUE.match(text, found.end())
        end = value.end() if value else found.end()
        if sign == ":" or _WHOLE_LINE.search(name):
            # A text after a colon may hold spaces; options after a sign do not.
            rest = _REST.match(text, end)
            end = rest.end() if rest else end
        parts += [text[at : found.end()], MASK]
        at = end
    return "".join([*parts, text[at:]])


def _masked_named(found: re.Match[str]) -> str:
    before, name, between, _ = found.groups()
    return f"{before}{name}{between}{MASK}" if is_secret_name(name) else found[0]


def _masked_item(found: re.Match[str]) -> str:
    # What a colon follows is a name itself.
    is_name = _COLON.match(found.string, found.end())
    return found[0] if is_name else _masked_named(found)


def _masked_password(found: re.Match[str]) -> str:
    return found[0] if MASK in found[0] else MASK


def _short_if_mixed(text: str) -> str:
    kinds = (str.islower, str.isupper, str.isdigit)
    count = sum(any(kind(each) for each in text) for kind in kinds)
    return _short(text) if count > 1 else text


def _short_if_random(found: re.Match[str]) -> str:
    return _short(found[0]) if _looks_random(found[0]) else found[0]


def _looks_random(text: str) -> bool:
    pieces = _PIECE.findall(text)
    length = sum(map(len, pieces))
    if length < _SHORTEST_RANDOM:
        return False
    unlike = sum(len(piece) for piece in pieces if not _LIKE_A_WORD.fullmatch(piece))
    return unlike > _MOST_UNLIKE_WORDS * length


def _short(text: str) -> str:
    """Write the first digits of a digest; a mask for what could be found by trying."""
    if len(text) < _SHORTEST_DIGESTED or _bits(text) < _LEAST_BITS or _is_text(text):
        return MASK
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"sha256:{digest[:_DIGEST_DIGITS]}"


def _bits(text: str) -> float:
    """Return the bits of information a character, by how often each comes."""
    shares = (count / len(text) for count in Counter(text).values())
    return -sum(share * math.log2(share) for share in shares)


def _is_text(text: str) -> bool:
    """Whether it is base64 of a text, such as a user's name and password."""
    padded = text.rstrip("=").translate(str.maketrans("-_", "+/"))
    padded += "=" * (-len(padded) % 4)
    try:
        return base64.b64decode(padded, validate=True).decode("ascii").isprintable()
    except (binascii.Error, ValueError):
        return False
