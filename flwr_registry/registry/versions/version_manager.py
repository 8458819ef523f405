"""Arithmetic of semantic versions: which number a new version gets, and why.

Major: another architecture. Minor: a new round of the same architecture. Patch: a
hotfix or fine-tune of one version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from flwr_registry.errors import InvalidNameError

__all__ = [
    "FIRST_VERSION",
    "Bump",
    "KnownNumbers",
    "NumberedVersion",
    "SemVer",
    "TakenNumbers",
    "choose_version",
    "is_compatible",
    "next_version",
    "parse_version",
]

# Nine digits fit every database's 32-bit integer.
_NUMBER = r"(0|[1-9][0-9]{0,8})"
_SEMVER = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}")


class Bump(StrEnum):
    """The part of a version number that rises."""

    MAJOR = "major"
    MINOR = "minor"
    PATCH = "patch"


@dataclass(frozen=True, slots=True, order=True)
class SemVer:
    """A version number; numbers compare as numbers: 1.10.0 comes after 1.9.0."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


FIRST_VERSION = SemVer(1, 0, 0)


@dataclass(frozen=True, slots=True)
class NumberedVersion:
    """A number that is taken, and by what.

    Attributes
    ----------
    number : SemVer
        Registered, or reserved by an upload that goes on.
    fingerprint : str
        Of the architecture.
    failed : bool
        The version failed validation: it takes a number and nothing else.
    """

    number: SemVer
    fingerprint: str
    failed: bool = False


class TakenNumbers(Protocol):
    """What `choose_version` asks about the numbers of one model."""

    def highest_major(self) -> int | None:
        """Return the highest major number that is taken."""

    def highest_sound_major(self) -> int | None:
        """Return the highest major number with a version that did not fail."""

    def highest_minor(self, major: int) -> int | None:
        """Return the highest minor number of a major."""

    def highest_patch(self, major: int, minor: int) -> int | None:
        """Return the highest patch number of a major and minor."""

    def major_of(self, fingerprint: str) -> int | None:
        """Return the highest major with a sound version of this architecture."""


class KnownNumbers:
    """`TakenNumbers` over a collection in memory.

    Parameters
    ----------
    versions : iterable of NumberedVersion
        All that is taken.
    """

    def __init__(self, versions: Iterable[NumberedVersion]) -> None:
        self._versions = tuple(versions)

    def highest_major(self) -> int | None:
        """Return the highest major number that is taken."""
        return _highest(taken.number.major for taken in self._versions)

    def highest_sound_major(self) -> int | None:
        """Return the highest major number with a version that did not fail."""
        return _highest(t.number.major for t in self._versions if not t.failed)

    def highest_minor(self, major: int) -> int | None:
        """Return the highest minor number of a major."""
        numbers = (taken.number for taken in self._versions)
        return _highest(number.minor for number in numbers if number.major == major)

    def highest_patch(self, major: int, minor: int) -> int | None:
        """Return the highest patch number of a major and minor."""
        numbers = (taken.number for taken in self._versions)
        return _highest(
            n.patch for n in numbers if (n.major, n.minor) == (major, minor)
        )

    def major_of(self, fingerprint: str) -> int | None:
        """Return the highest major with a sound version of this architecture."""
        return _highest(
            taken.number.major
            for taken in self._versions
            if taken.fingerprint == fingerprint and not taken.failed
        )


def parse_version(text: str) -> SemVer:
    """Read a version number.

    Raises
    ------
    InvalidNameError
        For anything but three numbers of at most nine digits, without leading zeros.
    """
    found = _SEMVER.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise InvalidNameError(
            f"{text!r} is no version: use MAJOR.MINOR.PATCH such as 1.4.0, without "
            "leading zeros"
        )
    return SemVer(*map(int, found.groups()))


def next_version(current: SemVer, bump: Bump) -> SemVer:
    """Return the number that follows `current` when nothing else is taken."""
    match bump:
        case Bump.MAJOR:
            return SemVer(current.major + 1, 0, 0)
        case Bump.MINOR:
            return SemVer(current.major, current.minor + 1, 0)
        case Bump.PATCH:
            return SemVer(current.major, current.minor, current.patch + 1)


def is_compatible(one: SemVer, other: SemVer) -> bool:
    """Whether weights of one version can be loaded where the other's fit."""
    return one.major == other.major


def choose_version(
    taken: TakenNumbers,
    *,
    fingerprint: str,
    failed: bool = False,
    origin: NumberedVersion | None = None,
    bump: Bump | None = None,
) -> SemVer:
    """Choose a free number for a new version.

    Parameters
    ----------
    taken : TakenNumbers
        The numbers of the model, those of pending uploads included.
    fingerprint : str
        Architecture of the new version.
    failed : bool
        It failed validation, and so never opens a major.
    origin : NumberedVersion, optional
        The version that it was trained from; for a forced bump without a parent, the
        latest one.
    bump : Bump, optional
        The part that must rise; by default the architecture decides.
    """
    highest = taken.highest_major()
    if highest is None:
        return FIRST_VERSION
    if bump is Bump.PATCH and origin is not None:
        return _next_patch(taken, origin.number)
    if failed or (bump is Bump.MINOR and origin is not None):
        return _next_minor(taken, origin.number.major if origin else highest)
    if bump is Bump.MAJOR:
        return SemVer(highest + 1, 0, 0)
    if origin is not None and not origin.failed and origin.fingerprint == fingerprint:
        return _next_minor(taken, origin.number.major)
    known = taken.major_of(fingerprint)
    if known is not None:
        return _next_minor(taken, known)
    # A major that holds failed versions only is not spoken for.
    return _next_minor(taken, (taken.highest_sound_major() or 0) + 1)


def _next_minor(taken: TakenNumbers, major: int) -> SemVer:
    minor = taken.highest_minor(major)
    if minor is None:
        return SemVer(major, 0, 0)
    return next_version(SemVer(major, minor, 0), Bump.MINOR)


def _next_patch(taken: TakenNumbers, origin: SemVer) -> SemVer:
    patch = taken.highest_patch(origin.major, origin.minor)
    latest = SemVer(
        origin.major, origin.minor, origin.patch if patch is None else patch
    )
    return next_version(latest, Bump.PATCH)


def _highest(numbers: Iterable[int]) -> int | None:
    return max(numbers, default=None)
