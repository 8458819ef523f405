"""The texts that name a version, read in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from flwr_registry.errors import (
    InvalidNameError,
    InvalidReferenceError,
    did_you_mean,
)
from flwr_registry.records import check_name
from flwr_registry.registry.versions.version_manager import SemVer, parse_version

__all__ = [
    "BEST",
    "LATEST",
    "PRODUCTION",
    "Reference",
    "check_alias",
    "describe_missing_model",
    "describe_missing_version",
    "parse_reference",
]

BEST = "best"
"""The alias of the best version by a metric."""

LATEST = "latest"
PRODUCTION = "production"

_SCHEME = "models:/"
_FORMS = "NAME, NAME:1.4.0, NAME@ALIAS, NAME/latest or models:/NAME/1.4.0"


@dataclass(frozen=True, slots=True)
class Reference:
    """A version of a model, by its number or by an alias: one of them is set."""

    model: str
    version: SemVer | None = None
    alias: str | None = None

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.model}:{self.version}"
        return f"{self.model}@{self.alias}"


def parse_reference(text: str, *, model: str | None = None) -> Reference:
    """Read a reference in MLflow's grammar or in a short form.

    Parameters
    ----------
    text : str
        ``name`` (its latest version), ``name:1.4.0``, ``name/1.4.0``, ``name:latest``,
        ``name/latest``, ``name@alias``, each also after ``models:/``.
    model : str, optional
        Where the model is known, a bare ``1.4.0`` or ``@alias`` is enough.

    Raises
    ------
    InvalidReferenceError
        For any other text.
    """
    if not isinstance(text, str) or not text:
        raise InvalidReferenceError(f"{text!r} names no version: use {_FORMS}")
    if model is not None:
        text = _with_model(text, model)
    rest = text.removeprefix(_SCHEME)
    try:
        return _parsed(rest)
    except InvalidNameError as error:
        raise InvalidReferenceError(
            f"{text!r} names no version ({error}): use {_FORMS}"
        ) from error


def describe_missing_model(name: str, models: Sequence[str]) -> str:
    """Say that a model is unknown, and which ones come near."""
    if not models:
        return f"no model {name!r}: the registry is empty"
    return f"no model {name!r}; {_near(name, models, 'known models:')}"


def describe_missing_version(reference: Reference, known: Sequence[str]) -> str:
    """Say that a version or alias is unknown, and what comes near.

    Parameters
    ----------
    reference : Reference
        What was asked for.
    known : sequence of str
        Aliases of the model, or its versions, newest first.
    """
    kind = "alias" if reference.version is None else "version"
    wanted = str(reference.version or reference.alias)
    if not known:
        return f"no {kind} {wanted} of {reference.model}, which has none yet"
    shown = "known:" if reference.version is None else "the newest are"
    return f"no {kind} {wanted} of {reference.model}; {_near(wanted, known, shown)}"


_near = partial(did_you_mean, listed=5)


def _with_model(text: str, model: str) -> str:
    if text.startswith("@"):
        return model + text
    try:
        return f"{model}:{parse_version(text)}"
    except InvalidNameError:
        return text


def _parsed(text: str) -> Reference:
    name, at, alias = text.partition("@")
    if at:
        return Reference(check_name(name, "model"), alias=check_alias(alias))
    for mark in ":/":
        name, found, selector = text.partition(mark)
        if found:
            check_name(name, "model")
            if selector == LATEST:
                return Reference(name, alias=LATEST)
            return Reference(name, version=parse_version(selector))
    return Reference(check_name(text, "model"), alias=LATEST)


def check_alias(alias: str) -> str:
    """Return `alias` when it may name a version.

    Raises
    ------
    InvalidNameError
        When it breaks the pattern of names, or is a version number.
    """
    check_name(alias, "alias")
    try:
        parse_version(alias)
    except InvalidNameError:
        return alias
    raise InvalidNameError(f"{alias} is a version, no alias: write NAME:{alias}")
