"""What looking after stored bytes found and did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = [
    "BytesState",
    "Collection",
    "ExplainedVersion",
    "Fate",
    "Finding",
    "RemovedBytes",
    "Severity",
    "UnknownDeletion",
    "UnknownFile",
    "Verification",
    "VerificationSummary",
]


class BytesState(StrEnum):
    """How the stored bytes of a version were found."""

    SOUND = "sound"
    DAMAGED = "damaged"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Verification:
    """The bytes of one version, held against its SHA-256.

    Attributes
    ----------
    reference : str
        Of the version.
    place : str
        Where its bytes belong.
    problem : str
        What is wrong, empty when nothing is; retention removes bytes on purpose.
    """

    reference: str
    place: str
    state: BytesState
    problem: str = ""


@dataclass(frozen=True, slots=True)
class VerificationSummary:
    """The bytes of many versions, held against their SHA-256.

    Attributes
    ----------
    checked : int
        How many were read.
    problems : tuple of Verification
        Those that are damaged or missing.
    """

    checked: int
    problems: tuple[Verification, ...]


@dataclass(frozen=True, slots=True)
class RemovedBytes:
    """Bytes that were given up, and what they belonged to.

    Attributes
    ----------
    reference : str or None
        Of a version; None for bytes that belong to nothing.
    key : str
        Where they lay in the storage.
    size_bytes : int
        How many; 0 where nothing tells.
    """

    reference: str | None
    key: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Collection:
    """What garbage collection removed, or would remove.

    Attributes
    ----------
    dry_run : bool
        Nothing was changed.
    versions : tuple of RemovedBytes
        Versions whose bytes a policy gave up, oldest first; their rows stay.
    orphans : tuple of RemovedBytes
        Bytes without a version, left by crashes.
    stale_uploads : int
        Registrations that began long ago and never ended.
    size_bytes : int
        What comes back in all.
    out_of_reach : tuple of str
        Checkpoints that cannot be read. While there are any, nobody can tell what they
        need, and no version and no orphan loses its bytes.
    withheld : str
        Why nothing at all was looked at; empty when it was.
    """

    dry_run: bool
    versions: tuple[RemovedBytes, ...]
    orphans: tuple[RemovedBytes, ...]
    stale_uploads: int
    size_bytes: int
    out_of_reach: tuple[str, ...] = ()
    withheld: str = ""


class Fate(StrEnum):
    """What becomes of the bytes of a version."""

    STAYS = "stays"
    GOES = "goes"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class ExplainedVersion:
    """What a retention policy means for one version, and why.

    Attributes
    ----------
    reference : str
        Of the version.
    fate : Fate
        Whether garbage collection with the policy leaves its bytes, removes them, or
        finds none any more.
    reasons : tuple of str
        Everything that keeps the bytes; or why nothing does.
    size_bytes : int
        Length of its file.
    """

    reference: str
    fate: Fate
    reasons: tuple[str, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class UnknownFile:
    """A stored file that neither a version nor a registration of this database wrote.

    Attributes
    ----------
    key : str
        Where it lies in the storage.
    size_bytes : int
        Its length.
    written_at : datetime or None
        When, by the storage's clock; None where the storage does not tell.
    """

    key: str
    size_bytes: int
    written_at: datetime | None


@dataclass(frozen=True, slots=True)
class UnknownDeletion:
    """Which unknown files were deleted, or would be.

    Attributes
    ----------
    dry_run : bool
        Nothing was changed.
    files : tuple of UnknownFile
        Those that went.
    named : tuple of str
        Keys of those that a checkpoint names, which stay.
    young : tuple of str
        Keys of those that are too young, or of unknown age, which stay.
    foreign : tuple of str
        Links, and names that no registry gives, which stay.
    size_bytes : int
        What comes back.
    """

    dry_run: bool
    files: tuple[UnknownFile, ...]
    named: tuple[str, ...]
    young: tuple[str, ...]
    foreign: tuple[str, ...]
    size_bytes: int


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Attributes
    ----------
    subject : str
        What it is about.
    problem, remedy : str
        What is wrong, and how to mend it.
    """

    severity: Severity
    subject: str
    problem: str
    remedy: str
