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
    "VersionManager",
    "parse_version",
    "parse_wanted_version",
]

# Nine digits fit every database's 32-bit integer.
_NUMBER = r"(0|[1-9][0-9]{0,8})"
_HIGHEST = 999_999_999
_SEMVER = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}")


class Bump(StrEnum):
    """The part of a version number that rises."""

    MAJOR = "major"
    MINOR = "minor"
    PATCH = "patch"

    @classmethod
    def _missing_(cls, value: object) -> None:
        raise ValueError(f"{value!r} is no bump: use 'major', 'minor' or 'patch'")


@dataclass(frozen=True, slots=True, order=True)
class SemVer:
    """A version number; numbers compare as numbers: 1.10.0 comes after 1.9.0."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    def raised(self, part: Bump) -> SemVer:
        """Return the number with one part raised and those below it cleared.

        Raises
        ------
        InvalidNameError
            When the part is as high as it can be.
        """
        if getattr(self, part) >= _HIGHEST:
            raise InvalidNameError(
                f"no {part} version can follow {self}: {_HIGHEST} is the highest "
                "number that a part may have; raise another part, or use another model"
            )
        match part:
            case Bump.MAJOR:
                return SemVer(self.major + 1, 0, 0)
            case Bump.MINOR:
                return SemVer(self.major, self.minor + 1, 0)
            case Bump.PATCH:
                return SemVer(self.major, self.minor, self.patch + 1)


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
    """What `VersionManager` asks about the numbers of one model."""

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
            f"{text!r} is no version: use three numbers such as 1.4.0, without "
            "leading zeros"
        )
    return SemVer(*map(int, found.groups()))


def parse_wanted_version(text: str) -> SemVer:
    """Read the number that somebody wants for a new version.

    Raises
    ------
    InvalidNameError
        As `parse_version` does, and for a number that leaves none to the next version.
    """
    number = parse_version(text)
    if _HIGHEST in (number.major, number.minor, number.patch):
        raise InvalidNameError(
            f"{text} would leave no number to the version after it: use numbers below "
            f"{_HIGHEST}"
        )
    return number


class VersionManager:
    """Decides which number follows which, and which fit together.

    Parameters
    ----------
    taken : TakenNumbers
        The numbers of one model, those of pending uploads included.
    """

    def __init__(self, taken: TakenNumbers) -> None:
        self._taken = taken

    @staticmethod
    def next_version(current: str, bump: str = "minor") -> str:
        """Return the number that follows `current` when nothing else is taken.

        Parameters
        ----------
        current : str
            Such as ``1.4.0``.
        bump : {"minor", "major", "patch"}
            The part that rises.

        Raises
        ------
        InvalidNameError
            When `current` is no version number, or the part cannot rise.
        ValueError
            For another bump.
        """
        return str(parse_version(current).raised(Bump(bump)))

    @staticmethod
    def is_compatible(base: str, candidate: str) -> bool:
        """Whether training can go on with weights of one version from the other.

        Raises
        ------
        InvalidNameError
            When one of them is no version number.
        """
        return parse_version(base).major == parse_version(candidate).major

    def choose_version(
        self,
        *,
        fingerprint: str,
        failed: bool = False,
        origin: NumberedVersion | None = None,
        bump: Bump | None = None,
    ) -> SemVer:
        """Choose a free number for a new version.

        Parameters
        ----------
        fingerprint : str
            Architecture of the new version.
        failed : bool
            It failed validation, and so never opens a major.
        origin : NumberedVersion, optional
            The version that it was trained from; for a forced bump without a parent,
            the latest one.
        bump : Bump, optional
            The part that must rise; by default the architecture decides.

        Raises
        ------
        InvalidNameError
            When the part that would rise is as high as it can be.
        """
        highest = self._taken.highest_major()
        if highest is None:
            return FIRST_VERSION
        if bump is Bump.PATCH and origin is not None:
            return self._next_patch(origin.number)
        if failed or (bump is Bump.MINOR and origin is not None):
            return self._next_minor(origin.number.major if origin else highest)
        if bump is Bump.MAJOR:
            return SemVer(highest, 0, 0).raised(Bump.MAJOR)
        if origin and not origin.failed and origin.fingerprint == fingerprint:
            return self._next_minor(origin.number.major)
        known = self._taken.major_of(fingerprint)
        if known is not None:
            return self._next_minor(known)
        # A major that holds failed versions only is not spoken for.
        sound = SemVer(self._taken.highest_sound_major() or 0, 0, 0)
        return self._next_minor(sound.raised(Bump.MAJOR).major)

    def _next_minor(self, major: int) -> SemVer:
        minor = self._taken.highest_minor(major)
        if minor is None:
            return SemVer(major, 0, 0)
        return SemVer(major, minor, 0).raised(Bump.MINOR)

    def _next_patch(self, origin: SemVer) -> SemVer:
        patch = self._taken.highest_patch(origin.major, origin.minor)
        latest = SemVer(
            origin.major, origin.minor, origin.patch if patch is None else patch
        )
        return latest.raised(Bump.PATCH)


def _highest(numbers: Iterable[int]) -> int | None:
    return max(numbers, default=None)
