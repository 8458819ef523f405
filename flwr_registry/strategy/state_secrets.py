"""Secrets in a strategy's state, which must be stored as it is to resume exactly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flwr_registry.masking import is_secret_name, masked_text

__all__ = ["secrets_in"]

_MOST_NODES = 10_000
_MAX_DEPTH = 60


def secrets_in(tree: Any) -> tuple[str, ...]:
    """Return the paths in a state whose name or text says that they are secret.

    A state of very many values is looked through in part: this warns, it proves
    nothing.
    """
    found: dict[str, None] = {}
    for number, (path, name, node) in enumerate(_named(tree, "", "", 0)):
        if number >= _MOST_NODES:
            break
        if _is_secret(name, node):
            found[path] = None
    return tuple(
        path for path in found if not any(path.startswith(f"{o}.") for o in found)
    )


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
