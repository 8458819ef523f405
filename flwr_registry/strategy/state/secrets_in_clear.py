"""Secrets in a strategy's state, which must be stored as it is to resume exactly."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from flwr_registry.masking import is_secret_name, masked_text

__all__ = ["secrets_in"]

_MOST_VALUES = 10_000
_MAX_DEPTH = 60
# Numbers, and what is inside has the names of a library, such as the key of MT19937.
_NUMBERS = {
    "$array",
    "$scalar",
    "$state_dict",
    "$tensor",
    "$random",
    "$generator",
    "$bit_generator",
    "$random_state",
    "$torch_generator",
}


def secrets_in(tree: Any) -> tuple[str, ...]:
    """Return the paths in a state whose name or text says that they are secret.

    A state of very many values is looked through in part: this warns, it proves
    nothing.
    """
    found: dict[str, None] = {}
    for path, secret_path, value in islice(_values(tree, "", "", "", 0), _MOST_VALUES):
        if value is None or isinstance(value, bool) or value == "":
            continue
        if secret_path:
            found[secret_path] = None
        elif isinstance(value, str) and _is_secret_text(value):
            found[path] = None
    return tuple(found)


def _values(
    node: Any, path: str, secret_path: str, name: str, depth: int
) -> Iterator[tuple[str, str, Any]]:
    """Give each value with its path, and the outermost part of it that is secret.

    An array or a generator is None.
    """
    if isinstance(node, dict):
        if depth > _MAX_DEPTH or _NUMBERS & node.keys():
            yield path, secret_path, None
            return
        # What starts with a dollar says what the value is, and has no name.
        pairs = [("" if key.startswith("$") else key, node[key]) for key in node]
    elif isinstance(node, list):
        pairs = [_pair_of(each) for each in node] if depth <= _MAX_DEPTH else []
    else:
        yield path, secret_path, node
        return
    for key, inner in pairs:
        own = key or name
        below = path if own == name else f"{path}.{own}" if path else own
        is_secret = (
            key and not secret_path and _is_secret_name(key, _number_like(inner))
        )
        secret = below if is_secret else secret_path
        yield from _values(inner, below, secret, own, depth + 1)


def _pair_of(item: Any) -> tuple[str, Any]:
    """Return a key and its value as a state writes them; else what has no key."""
    match item:
        case [str(key), value]:
            return key, value
    return "", item


def _number_like(node: Any) -> float | None:
    if isinstance(node, float):
        return 0.5
    return 0 if isinstance(node, int) else None


# A state has mostly the same names and texts after each round.
@lru_cache(maxsize=_MOST_VALUES)
def _is_secret_name(name: str, number: float | None) -> bool:
    return is_secret_name(name, number)


@lru_cache(maxsize=_MOST_VALUES)
def _is_secret_text(text: str) -> bool:
    return not text.isdigit() and masked_text(text) != text
