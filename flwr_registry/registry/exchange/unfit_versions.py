"""Versions that no use may be made of outside, whatever asks for their files."""

from __future__ import annotations

from flwr_registry.errors import InvalidStateError
from flwr_registry.records import ModelVersion, VersionStatus

__all__ = ["refuse_unfit"]


def refuse_unfit(version: ModelVersion) -> None:
    """Refuse a version that must not be used.

    Raises
    ------
    InvalidStateError
        When it is withdrawn, or failed validation.
    """
    if version.withdrawn:
        raise InvalidStateError(
            f"{version.reference} is withdrawn: a node that it was trained with took "
            "its part back, so it is not to be used"
        )
    if version.status is VersionStatus.FAILED:
        raise InvalidStateError(
            f"{version.reference} failed validation, so it is not to be used: "
            "'flwr-registry export' writes it for whoever wants to look into it"
        )
