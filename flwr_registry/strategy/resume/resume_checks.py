"""Refusing to resume where the result would be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flwr_registry.checkpointing import CheckpointContent
from flwr_registry.errors import (
    InvalidReferenceError,
    InvalidStateError,
    ResumeError,
)
from flwr_registry.records import ModelVersion, VersionStatus
from flwr_registry.strategy.state.attributes import attributes_of
from flwr_registry.strategy.state.containers import items_of
from flwr_registry.strategy.state.known_classes import holds_fields
from flwr_registry.strategy.state.plain_state import (
    has_state_dict,
    is_accountant,
    is_strategy,
)

__all__ = [
    "check_accountants",
    "check_given",
    "check_initial",
    "check_strategy",
    "objects_without_state",
]

_ANEW = "or start anew with resume=False and another run name"


def check_strategy(content: CheckpointContent, class_chain: str, model: str) -> None:
    """Compare the strategy's classes and the model's name with the checkpoint's.

    Raises
    ------
    ResumeError
        Saying what differs.
    """
    if content.strategy != class_chain:
        raise ResumeError(
            f"the checkpoint of round {content.server_round} is of {content.strategy}, "
            f"this run has {class_chain}: its state would not fit. Use the same "
            f"strategy, {_ANEW}"
        )
    if content.model != model:
        raise ResumeError(
            f"the run wrote model {content.model} up to round {content.server_round}, "
            f"now it is to write {model}: give model={content.model!r}, {_ANEW}"
        )


def check_given(content: CheckpointContent, fingerprint: str) -> None:
    """Compare the model that the app gives with the one that it gave at first.

    Parameters
    ----------
    fingerprint : str
        Of the architecture of what it gives now; nothing is compared with an empty one.

    Raises
    ------
    ResumeError
        When names, shapes or floating dtypes differ.
    """
    if content.fingerprint and fingerprint and content.fingerprint != fingerprint:
        raise ResumeError(
            "the initial model differs in names, shapes or dtypes from the one that "
            f"this run began with, which is trained up to round "
            f"{content.server_round}: give the same architecture, {_ANEW}"
        )


def check_initial(version: ModelVersion, model: str) -> None:
    """See that training may start from a version.

    Raises
    ------
    InvalidStateError
        When it failed validation, is withdrawn, or has no bytes.
    InvalidReferenceError
        When it is of another model than the run writes.
    """
    why = {
        "failed validation": version.status is VersionStatus.FAILED,
        "is withdrawn: a withdrawn node has a part in it": version.withdrawn,
        "has no bytes any more": version.bytes_removed_at is not None,
    }
    for said, holds in why.items():
        if holds:
            raise InvalidStateError(
                f"training cannot start from {version.reference}: it {said}"
            )
    if version.model != model:
        raise InvalidReferenceError(
            f"initial={version.reference!r} is of another model than the run writes "
            f"({model}): give model={version.model!r}, so that lineage can tell of it"
        )


def check_accountants(strategy: Any, tree: Any) -> None:
    """See that each privacy accountant has its state in the checkpoint.

    Without it the budget that is spent would silently start at zero.

    Raises
    ------
    ResumeError
        Naming the attribute.
    """
    for path, value in _unsaved(strategy, tree, "", set()):
        found = _accountant_in(value)
        if found is not None:
            raise ResumeError(
                f"the checkpoint holds no state for the strategy's {path} "
                f"({type(found).__name__}): a privacy budget would start at zero "
                f"again. Resume without it if the run had none, {_ANEW}"
            )


def objects_without_state(strategy: Any, tree: Any) -> list[str]:
    """Return which attributes take a state, but have none in the checkpoint."""
    unsaved = _unsaved(strategy, tree, "", set())
    return [path for path, value in unsaved if has_state_dict(value)]


def _unsaved(
    owner: Any, tree: Any, path: str, seen: set[int]
) -> Iterator[tuple[str, Any]]:
    """Go through the attributes that the checkpoint does not have, by path."""
    if id(owner) in seen:
        return
    seen.add(id(owner))
    held = tree if isinstance(tree, dict) else {}
    for name, value in attributes_of(owner).items():
        node = held.get(name)
        if isinstance(node, dict) and "$same" in node:
            continue
        if is_strategy(value) or holds_fields(type(value)):
            tag = "$strategy" if is_strategy(value) else "$object"
            inner = node.get(tag) if isinstance(node, dict) else None
            yield from _unsaved(value, inner, f"{path}{name}.", seen)
        elif node is None:
            yield f"{path}{name}", value


def _accountant_in(value: Any) -> Any:
    """Return the privacy accountant that a value is or holds in lists and the like."""
    waiting, seen = [value], set()
    while waiting:
        each = waiting.pop()
        if is_accountant(each):
            return each
        if id(each) not in seen:
            seen.add(id(each))
            waiting.extend(items_of(each))
    return None
