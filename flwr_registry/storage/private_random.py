"""Keeps libraries away from python's global generator of random numbers."""

from __future__ import annotations

import random
import sys
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import Any

__all__ = ["give_own_generators"]

# They draw the pauses before they try again, who is served next, and which of several
# servers they speak to.
_LIBRARIES = frozenset(
    (
        *("adlfs", "aiobotocore", "aiohttp", "aiohttp_retry", "azure", "backoff"),
        *("boto3", "botocore", "dropbox", "dropboxdrivefs", "gcsfs", "google"),
        *("huggingface_hub", "oci", "ocifs", "oss2", "ossfs", "paramiko", "requests"),
        *("s3fs", "s3transfer", "tenacity", "urllib3"),
        *("asyncpg", "psycopg"),
    )
)
_METHODS = (BuiltinMethodType, MethodType)


class _Generator(random.Random):
    """A generator that stands for the module `random` too."""

    def __getattr__(self, name: str) -> Any:
        return getattr(random, name)


_GLOBAL = random.random.__self__  # type: ignore[attr-defined]
_OWN = _Generator()
_done: set[str] = set()
_state_of_modules = (0, "")


def give_own_generators() -> None:
    """Let known libraries draw from a generator that nobody else uses.

    A training draws from python's global one which clients it samples: a library that
    draws a pause from it, in whatever thread, changes the model. Only modules that are
    imported already are changed, each once.
    """
    global _state_of_modules  # noqa: PLW0603
    # Modules are thousands, and this is asked for with each storage: a new one is last.
    state = (len(sys.modules), next(reversed(sys.modules)))
    if state == _state_of_modules:
        return
    _state_of_modules = state
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in _LIBRARIES and name not in _done:
            _done.add(name)
            _change(module)


def _change(module: ModuleType) -> None:
    for name, value in list(getattr(module, "__dict__", {}).items()):
        if (own := _own(value)) is not value:
            setattr(module, name, own)
        elif isinstance(value, FunctionType):
            _change_defaults(value)
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for each in vars(value).values():
                if isinstance(each, FunctionType):
                    _change_defaults(each)


def _change_defaults(function: FunctionType) -> None:
    defaults = function.__defaults__ or ()
    if any(_own(value) is not value for value in defaults):
        function.__defaults__ = tuple(_own(value) for value in defaults)


def _own(value: Any) -> Any:
    """Return what stands for the global generator, or a method of it; else itself."""
    if value is random:
        return _OWN
    if isinstance(value, _METHODS) and value.__self__ is _GLOBAL:
        return getattr(_OWN, value.__name__)
    return value
