"""The pattern of names."""

from __future__ import annotations

import re

from flwr_registry.errors import InvalidNameError

__all__ = ["check_name"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def check_name(name: str, kind: str) -> str:
    """Return `name` when it may name a model, a run or an alias.

    Parameters
    ----------
    name : str
        One to 128 of ``A-Z a-z 0-9 . _ -``, the first a letter or a digit. Names become
        parts of storage keys, so no other character is ever let through.
    kind : str
        What is named, for the message.

    Raises
    ------
    InvalidNameError
        When the name breaks the pattern.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or ".." in name:
        raise InvalidNameError(
            f"{name!r} cannot name a {kind}: use 1 to 128 letters, digits, '.', '_' or "
            "'-', starting with a letter or digit, without '..'"
        )
    return name
