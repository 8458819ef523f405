"""Secrets in a strategy's state, which must be stored as it is to resume exactly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flwr_registry.masking import is_secret_name, masked_text

__all__ = ["secrets_in"]

_MOST_NODES = 10_000
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
    named = _named(_without_numbers(tree, 0), "", "", 0)
    for number, (path, name, node) in enumerate(named):
        if number >= _MOST_NODES:
            break
        if _is_secret(name, node):
            found[path] = None
    return tuple(
        path for path in found if not any(path.startswith(f"{o}.") for o in found)
    )


def _without_numbers(node: Any, depth: int) -> Any:
    """Leave arrays and generators out, and what then holds nothing; None for those."""
    if depth > _MAX_DEPTH:
        return None
    if isinstance(node, dict):
        if _NUMBERS & node.keys():
            return None
        kept = {key: _without_numbers(each, depth + 1) for key, each in node.items()}
        return {key: each for key, each in kept.items() if each is not None} or None
    if isinstance(node, list):
        left = [_without_numbers(each, depth + 1) for each in node]
        if node and isinstance(node[0], str) and left[1:] == [None]:
            return None
        return [each for each in left if each is not None] or None
    return node


def _named(
    node: Any, path: str, name: str, depth: int
) -> Iterator[tuple[str, str, Any]]:
    """Give each value with its path and the name that is nearest to it."""
    if path:
        yield path, name, node
    if depth > _MAX_DEPTH:
        return
    if isinstance(node, dict):
        for key, inner in node.items():
            # What starts with a dollar says what the value is, and has no name.
            own = name if key.startswith("$") else key
            yield from _named(inner, _below(path, own, name), own, depth + 1)
    elif isinstance(node, list):
        for inner in node:
            match inner:
                case [str(key), value]:
                    yield from _named(value, _below(path, key, name), key, depth + 1)
                case _:
                    yield from _named(inner, path, name, depth + 1)


def _below(path: str, own: str, name: str) -> str:
    if own == name:
        return path
    return f"{path}.{own}" if path else own


def _is_secret(name: str, node: Any) -> bool:
    if node is None or isinstance(node, bool) or node in ("", [], {}):
        return False
    if is_secret_name(name, node):
        return True
    return isinstance(node, str) and not node.isdigit() and masked_text(node) != node
