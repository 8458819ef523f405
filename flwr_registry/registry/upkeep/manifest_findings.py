"""Checkpoints whose versions the database lacks, or has as other ones."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from flwr_registry.checkpointing import FoundManifest
from flwr_registry.errors import counted
from flwr_registry.records import Finding, Severity
from flwr_registry.registry.upkeep.checkpoint_needs import told_by
from flwr_registry.registry.upkeep.told_versions import ToldVersion, missing_versions

__all__ = ["compare_told"]


def compare_told(session: Session, manifests: Sequence[FoundManifest]) -> list[Finding]:
    """Find checkpoints that tell of versions which the database does not have."""
    told = {
        str(found): list(told_by(found.manifest.content))
        for found in manifests
        if found.manifest is not None
    }
    missing = missing_versions(session, {each for of in told.values() for each in of})
    findings = []
    for name, versions in told.items():
        subject = f"checkpoint {name}"
        lost = [each for each in versions if each in missing]
        taken = [each for each in lost if missing[each] is not None]
        if taken:
            findings.append(_taken(subject, taken, missing[taken[0]] or ""))
        elif lost:
            findings.append(
                Finding(
                    Severity.ERROR,
                    subject,
                    f"it tells of {counted(len(lost), 'version')} that the database "
                    "does not have",
                    "flwr-registry doctor --rebuild",
                )
            )
    return findings


def _taken(subject: str, taken: Sequence[ToldVersion], digest: str) -> Finding:
    first = taken[0]
    others = f", and {len(taken) - 1} more" if len(taken) > 1 else ""
    return Finding(
        Severity.ERROR,
        subject,
        f"it names {first.reference} with the digest {first.digest[:12]}, the database "
        f"has it with {digest[:12]}{others}: it is not of this registry, or the "
        "database was lost and other runs took the numbers",
        "flwr-registry doctor --rebuild, which brings its versions back under free "
        "numbers",
    )
