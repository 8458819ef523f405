"""What a caller wants to register, checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flwr_registry.errors import InvalidReferenceError
from flwr_registry.records import RoundFacts, Run, VersionMetadata, check_name
from flwr_registry.registry.rows.json_values import finite_or_none, plain_text, to_json
from flwr_registry.registry.versions.metric_doubts import doubts_of
from flwr_registry.registry.versions.metrics import collect_metrics
from flwr_registry.registry.versions.references import Reference, parse_reference
from flwr_registry.registry.versions.version_manager import (
    Bump,
    SemVer,
    parse_wanted_version,
)
from flwr_registry.validation import MetricRanges, checked_ranges

__all__ = ["Registration", "checked_metadata"]

_TEXTS = ("architecture", "framework", "description", "created_by")


@dataclass(frozen=True, slots=True)
class Registration:
    """What shall be registered, checked before anything is written.

    Attributes
    ----------
    fingerprint : str
        Of the architecture.
    number : SemVer or None
        The version that the user wants, instead of a chosen one.
    parent : Reference or None
        The version it was trained from; None for the newest of the run.
    errors : tuple of str
        Why the version failed validation, doubts about its metrics included.
    metrics : mapping
        By source, as JSON.
    privacy : tuple of float or None
        Epsilon and delta spent.
    imported_by : str or None
        Who brings it from another registry; whatever its metadata say.

    Raises
    ------
    InvalidNameError, InvalidReferenceError
        For a model, version or parent that cannot be.
    TypeError, ValueError
        For metadata, errors, bump or privacy that make no sense.
    """

    model: str
    fingerprint: str
    number: SemVer | None = None
    bump: Bump | None = None
    parent: Reference | None = None
    run: Run | None = None
    facts: RoundFacts | None = None
    errors: tuple[str, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    metadata: VersionMetadata = field(default_factory=VersionMetadata)
    privacy: tuple[float, float] | None = None
    imported_by: str | None = None

    @classmethod
    def checked(
        cls,
        model: str,
        fingerprint: str,
        *,
        version: str | None,
        bump: str | None,
        parent: str | None,
        run: Run | None,
        facts: RoundFacts | None,
        errors: Sequence[str],
        metrics: Mapping[str, Any] | None,
        metadata: VersionMetadata | None,
        privacy: tuple[float, float] | None,
        metric_ranges: MetricRanges | None = None,
        imported_by: str | None = None,
    ) -> Registration:
        """Check what a caller wants to register."""
        check_name(model, "model")
        if version is not None and bump is not None:
            raise ValueError("give either a version or a bump, not both")
        if facts is not None and run is None:
            raise ValueError("facts of a round need the run that the round belongs to")
        if run is not None and run.provenance.model != model:
            raise InvalidReferenceError(
                f"run {run.provenance.name} writes versions of "
                f"{run.provenance.model}, not of {model}"
            )
        if isinstance(errors, str):
            raise TypeError("errors is a sequence of texts, not one text")
        collected = collect_metrics(metrics, facts)
        told = (plain_text(str(error)) for error in errors)
        doubts = doubts_of(collected, checked_ranges(metric_ranges))
        return cls(
            model=model,
            fingerprint=fingerprint,
            number=None if version is None else parse_wanted_version(version),
            bump=None if bump is None else Bump(bump),
            parent=None if parent is None else _parent_reference(parent, model),
            run=run,
            facts=facts,
            errors=tuple(dict.fromkeys((*told, *doubts))),
            metrics=collected,
            metadata=checked_metadata(metadata or VersionMetadata()),
            privacy=_checked_privacy(privacy),
            imported_by=imported_by,
        )

    @property
    def failed(self) -> bool:
        """Whether the version failed validation."""
        return bool(self.errors)


def _parent_reference(text: str, model: str) -> Reference:
    reference = parse_reference(text, model=model)
    if reference.model != model:
        raise InvalidReferenceError(
            f"the parent {text} is of another model: a version of {model} comes from a "
            f"version of {model}"
        )
    return reference


def checked_metadata(metadata: VersionMetadata) -> VersionMetadata:
    """Return metadata as the database can hold it.

    Raises
    ------
    TypeError
        For a field of the wrong type.
    """
    if not isinstance(metadata, VersionMetadata):
        raise TypeError(
            f"metadata is a {type(metadata).__name__}: give a VersionMetadata, which "
            "has no field that the registry governs"
        )
    for name in _TEXTS:
        if not isinstance(getattr(metadata, name), str):
            raise TypeError(f"metadata.{name} is no text")
    for name in ("model_config", "tags"):
        if not isinstance(getattr(metadata, name), Mapping):
            raise TypeError(f"metadata.{name} is no mapping")
    if not all(isinstance(part, str) for tag in metadata.tags.items() for part in tag):
        raise TypeError("metadata.tags maps texts to texts")
    texts = {name: plain_text(getattr(metadata, name)) for name in _TEXTS}
    return VersionMetadata(
        **texts,
        model_config=to_json(metadata.model_config),
        tags=to_json(metadata.tags),
    )


def _checked_privacy(
    privacy: tuple[float, float] | None,
) -> tuple[float, float] | None:
    if privacy is None:
        return None
    epsilon, delta = map(finite_or_none, privacy)
    if epsilon is None or delta is None or epsilon < 0 or not 0 <= delta <= 1:
        raise ValueError(
            f"{privacy!r} is no privacy budget: give (epsilon, delta), epsilon at "
            "least 0 and delta between 0 and 1"
        )
    return epsilon, delta
