"""Every error that flwr_registry raises on purpose.

::

    RegistryError
    ├── InvalidNameError            a name or key breaks its pattern (a ValueError)
    ├── InvalidReferenceError       no reference to a version (a ValueError)
    ├── SearchError                 a search that makes no sense (a ValueError)
    ├── ModelNotFoundError          no such model, version or alias
    │   └── NoProductionModelError  the model has no production version
    ├── NodeNotFoundError           no such node ever took part
    ├── TensorNotFoundError         the version has no tensor of that name
    ├── DuplicateVersionError       the version exists with other bytes
    ├── InvalidStateError           the version's status forbids the verb
    │   ├── PromotionConflictError  another version is in production than expected
    │   └── PromotionRefusedError   a gate does not let the version into production
    ├── RollbackError               there is nothing to roll back to
    ├── IntegrityError              stored bytes are not those that were registered
    │   └── WeightsFormatError      a file that is no sound safetensors file
    ├── ValidationError             a model failed validation and ``on_invalid="raise"``
    ├── ModuleMismatchError         a module that a version's weights do not fit
    ├── PredictionError             a prediction that cannot be made
    │   └── InvalidInputError       inputs that the model cannot take (a ValueError)
    ├── DriftError                  a federation that got worse, and ``on_drift="stop"``
    ├── ExportError                 a version that cannot be brought out or in
    ├── MetricNotMeasuredError      a metric that decides something never appeared
    ├── CheckpointError             a checkpoint that cannot be read or does not fit
    │   └── ResumeError             a run that cannot go on without being wrong
    ├── SealError                   a seal that is missing or wrong, or a bad key
    ├── StorageOwnerError           the storage is another registry's
    ├── RunHeldError                another start of the run is at work
    ├── FencedError                 a newer start of the run has taken it over
    ├── WriteTimeoutError           training waited long enough for what is written
    ├── StorageError                the storage refused or failed
    │   ├── ObjectNotFoundError     nothing is stored under the key
    │   ├── ObjectUnreadableError   what is stored there may not be read
    │   └── StorageTimeoutError     the storage did not answer in time
    ├── DatabaseError               the database refused or failed
    │   ├── DatabaseNotFoundError   there is no registry at the place
    │   ├── DatabaseTimeoutError    the database did not answer in time
    │   └── SchemaVersionError      the database belongs to another release
    └── StrategyError               an object that cannot be wrapped (a TypeError)
        └── WrapperOrderError       a RegistryStrategy that is not the outermost wrapper

Facts are attributes, so a caller never parses a message.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

__all__ = [
    "CheckpointError",
    "DatabaseError",
    "DatabaseNotFoundError",
    "DatabaseTimeoutError",
    "DriftError",
    "DuplicateVersionError",
    "ExportError",
    "FencedError",
    "IntegrityError",
    "InvalidInputError",
    "InvalidNameError",
    "InvalidReferenceError",
    "InvalidStateError",
    "MetricNotMeasuredError",
    "ModelNotFoundError",
    "ModuleMismatchError",
    "NoProductionModelError",
    "NodeNotFoundError",
    "ObjectNotFoundError",
    "ObjectUnreadableError",
    "PredictionError",
    "PromotionConflictError",
    "PromotionRefusedError",
    "RegistryError",
    "ResumeError",
    "RollbackError",
    "RunHeldError",
    "SchemaVersionError",
    "SealError",
    "SearchError",
    "StorageError",
    "StorageOwnerError",
    "StorageTimeoutError",
    "StrategyError",
    "TensorNotFoundError",
    "ValidationError",
    "WeightsFormatError",
    "WrapperOrderError",
    "WriteTimeoutError",
    "counted",
    "did_you_mean",
]

_LISTED = 20
_NEAR = 3


def did_you_mean(
    wanted: str,
    known: Sequence[str],
    kind: str = "known:",
    *,
    possible: Sequence[str] = (),
    listed: int = _LISTED,
) -> str:
    """Name what comes near, and what is known.

    Parameters
    ----------
    kind : str
        What the first of the known ones are, such as ``the newest are``.
    possible : sequence of str
        What may have been meant besides.
    listed : int
        How many of the known ones are named.
    """
    if not known:
        return "there is none yet"
    near = [*difflib.get_close_matches(wanted, known, n=_NEAR), *possible]
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    more = ", ..." if len(known) > listed else ""
    return f"{hint}{kind} {', '.join(known[:listed])}{more}"


def counted(count: int, noun: str) -> str:
    """Write a number with its noun: ``1 version``, ``2 versions``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


class RegistryError(Exception):
    """Root of every error of this package."""


class InvalidNameError(RegistryError, ValueError):
    """A name breaks the pattern of its kind; nothing was written."""


class InvalidReferenceError(RegistryError, ValueError):
    """A text does not name a version in any of the accepted forms."""


class SearchError(RegistryError, ValueError):
    """A search that makes no sense; the message shows where.

    Attributes
    ----------
    position : int or None
        Index of the character in the expression where it stops making sense.
    """

    def __init__(self, message: str, *, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class ModelNotFoundError(RegistryError):
    """No model, version or alias answers to the reference.

    Attributes
    ----------
    reference : str
        What was asked for.
    """

    def __init__(self, message: str, *, reference: str = "") -> None:
        super().__init__(message)
        self.reference = reference


class NoProductionModelError(ModelNotFoundError):
    """The model exists, but no version of it is in production."""


class DriftError(RegistryError):
    """A federation got worse, and ``on_drift="stop"`` ended its training.

    Attributes
    ----------
    findings : tuple of str
        What was found.
    """

    def __init__(self, message: str, *, findings: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class ModuleMismatchError(RegistryError):
    """A module that the weights of a version do not fit, or that cannot be built."""


class PredictionError(RegistryError):
    """A prediction that cannot be made."""


class InvalidInputError(PredictionError, ValueError):
    """Inputs that the model cannot take; the message names the input."""


class TensorNotFoundError(RegistryError):
    """A version has no tensor of that name."""


class NodeNotFoundError(RegistryError):
    """No node of this id ever took part in a round.

    Attributes
    ----------
    node_id : str
        What was asked for.
    """

    def __init__(self, message: str, *, node_id: str) -> None:
        super().__init__(message)
        self.node_id = node_id


class DuplicateVersionError(RegistryError):
    """The version is registered already, with other bytes.

    Attributes
    ----------
    version : str
        The version that is taken.
    """

    def __init__(self, message: str, *, version: str = "") -> None:
        super().__init__(message)
        self.version = version


class InvalidStateError(RegistryError):
    """The version's status does not allow the verb."""


class PromotionConflictError(InvalidStateError):
    """Another version is in production than the caller expected; nothing changed."""


class PromotionRefusedError(InvalidStateError):
    """The version did not pass the gates; nothing changed.

    Attributes
    ----------
    refusals : tuple of str
        What each gate that it did not pass says.
    """

    def __init__(self, message: str, *, refusals: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.refusals = tuple(refusals)


class RollbackError(RegistryError):
    """No earlier production version exists to go back to."""


class IntegrityError(RegistryError):
    """Stored bytes differ from those that were registered.

    Attributes
    ----------
    key : str
        The storage key of the damaged object, empty when the bytes came from elsewhere.
    """

    def __init__(self, message: str, *, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class WeightsFormatError(IntegrityError):
    """Bytes that are no sound safetensors file: damaged, truncated or hostile."""


class ValidationError(RegistryError):
    """A model failed validation.

    Attributes
    ----------
    errors : tuple of str
        Every error that the validator found.
    """

    def __init__(self, message: str, *, errors: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)


class ExportError(RegistryError):
    """A version cannot be brought out or in this way; nothing was changed."""


class CheckpointError(RegistryError):
    """A checkpoint cannot be read, or does not fit the run."""


class MetricNotMeasuredError(RegistryError):
    """A metric that decides something never appeared; its name may be mistyped.

    Attributes
    ----------
    metric : str
        The name.
    """

    def __init__(self, message: str, *, metric: str) -> None:
        super().__init__(message)
        self.metric = metric


class ResumeError(CheckpointError):
    """A run cannot go on from a checkpoint without being wrong; nothing was changed."""


class RunHeldError(RegistryError):
    """Another start of the run is at work; this one has written nothing.

    Attributes
    ----------
    run : str
        Name of the run.
    start_number : int
        Of the start that holds it.
    """

    def __init__(self, message: str, *, run: str, start_number: int) -> None:
        super().__init__(message)
        self.run = run
        self.start_number = start_number


class FencedError(RegistryError):
    """A newer start has taken the run over; this one may write no more.

    Attributes
    ----------
    run : str
        Name of the run.
    start_number : int
        Of the start that has the run now.
    """

    def __init__(self, message: str, *, run: str, start_number: int) -> None:
        super().__init__(message)
        self.run = run
        self.start_number = start_number


class WriteTimeoutError(RegistryError):
    """What is written beside training did not end in time; it may end later."""


class StorageError(RegistryError):
    """The storage refused or failed an operation.

    Attributes
    ----------
    key : str
        The key that was worked on.
    """

    def __init__(self, message: str, *, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class SealError(RegistryError):
    """A seal is missing or wrong, or its key is none that could be used."""


class StorageOwnerError(RegistryError):
    """The storage belongs to another registry; nothing was written into it.

    Attributes
    ----------
    owner : str
        Identity of the registry that it belongs to, empty when that cannot be read.
    """

    def __init__(self, message: str, *, owner: str = "") -> None:
        super().__init__(message)
        self.owner = owner


class ObjectNotFoundError(StorageError):
    """Nothing is stored under the key."""


class ObjectUnreadableError(StorageError):
    """An object is there, and whoever asks may not read it."""


class StorageTimeoutError(StorageError):
    """The storage did not answer in time.

    What was to be done may be done later all the same, or not at all.

    Attributes
    ----------
    timeout_seconds : float
        How long it was waited for.
    """

    def __init__(
        self, message: str, *, key: str = "", timeout_seconds: float = 0.0
    ) -> None:
        super().__init__(message, key=key)
        self.timeout_seconds = timeout_seconds


class DatabaseError(RegistryError):
    """The database refused or failed an operation.

    Attributes
    ----------
    may_have_committed : bool
        The connection ended after the commit was sent and before it was answered: what
        was to be written may be there or not. Else nothing was changed.
    """

    def __init__(self, message: str, *, may_have_committed: bool = False) -> None:
        super().__init__(message)
        self.may_have_committed = may_have_committed


class DatabaseNotFoundError(DatabaseError):
    """There is no registry at the place, and none was to be made."""


class DatabaseTimeoutError(DatabaseError):
    """The database did not answer within the time that an operation may take.

    Attributes
    ----------
    timeout_seconds : float
        How long that was.
    """

    def __init__(
        self, message: str, *, timeout_seconds: float, may_have_committed: bool = False
    ) -> None:
        super().__init__(message, may_have_committed=may_have_committed)
        self.timeout_seconds = timeout_seconds


class SchemaVersionError(DatabaseError):
    """The database's schema belongs to another release of flwr_registry."""


class StrategyError(RegistryError, TypeError):
    """An object that RegistryStrategy cannot wrap."""


class WrapperOrderError(StrategyError):
    """RegistryStrategy is not the outermost wrapper.

    Inside a differential-privacy wrapper it would record the model before the noise.
    """
