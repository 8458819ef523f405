"""Which version may go into production, decided on records alone."""

from __future__ import annotations

from collections.abc import Sequence

from flwr_registry.errors import (
    InvalidStateError,
    PromotionConflictError,
    PromotionRefusedError,
)
from flwr_registry.records import ModelVersion, VersionStatus
from flwr_registry.registry.promotion.gates import PromotionGate

__all__ = [
    "NO_PRODUCTION",
    "check_expected",
    "check_gates",
    "check_promotable",
    "unfit_for_production",
]

NO_PRODUCTION = "none"
"""What is expected where no version is in production."""


def unfit_for_production(version: ModelVersion) -> str | None:
    """Say why a version can never be in production; None when it can."""
    if version.status is VersionStatus.FAILED:
        reasons = "; ".join(version.validation_errors)
        return f"{version.reference} failed validation ({reasons})"
    if version.withdrawn:
        return f"{version.reference} is withdrawn: a withdrawn node has a part in it"
    if version.bytes_removed_at is not None:
        return (
            f"the bytes of {version.reference} were removed by retention on "
            f"{version.bytes_removed_at:%Y-%m-%d}"
        )
    return None


def check_promotable(version: ModelVersion, *, allow_archived: bool) -> None:
    """Let a candidate or active version through, an archived one only if allowed.

    Raises
    ------
    InvalidStateError
        Saying what to do.
    """
    unfit = unfit_for_production(version)
    if unfit is not None:
        raise InvalidStateError(f"{unfit}: it cannot be promoted")
    if version.status is VersionStatus.ARCHIVED and not allow_archived:
        raise InvalidStateError(
            f"{version.reference} is archived: it was put aside, replaced or rolled "
            "back from. If it was in production before, a rollback can go to it; else "
            "promote it with allow_archived=True (--allow-archived)"
        )


def check_expected(production: ModelVersion | None, expected: str | None) -> None:
    """Compare the production version with the one that the caller knows of.

    Parameters
    ----------
    expected : str or None
        A version number, `NO_PRODUCTION`, or None for any.

    Raises
    ------
    PromotionConflictError
        When another one is in production.
    """
    found = production.version if production is not None else NO_PRODUCTION
    if expected is not None and expected != found:
        raise PromotionConflictError(
            f"version {found} is in production, not {expected} as expected: look at "
            "what changed, then promote again"
        )


def check_gates(
    gates: Sequence[PromotionGate],
    candidate: ModelVersion,
    production: ModelVersion | None,
    *,
    skip: bool,
) -> list[str]:
    """Return what the gates object to, where they are skipped.

    Raises
    ------
    PromotionRefusedError
        Where they are not, naming every gate that refuses.
    """
    refusals = [said for gate in gates if (said := gate.refusal(candidate, production))]
    if refusals and not skip:
        raise PromotionRefusedError(
            f"{candidate.reference} is not promoted: {'; '.join(refusals)}. To do it "
            "all the same, say skip_gates=True (--skip-gates): the audit log tells it",
            refusals=refusals,
        )
    return refusals
