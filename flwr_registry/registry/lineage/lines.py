"""How two versions are related, decided on their ancestors."""

from __future__ import annotations

from sqlalchemy.orm import Session

from flwr_registry.records import ModelVersion
from flwr_registry.registry.lineage.lineage import ancestors_of
from flwr_registry.registry.rows.row_records import version_record
from flwr_registry.registry.versions.queries import find_version
from flwr_registry.registry.versions.references import Reference

__all__ = ["common_ancestor", "path_between"]


def common_ancestor(
    session: Session, a: Reference, b: Reference
) -> ModelVersion | None:
    """Return the newest version that both come from, which may be one of them."""
    of_b = {version.id for version in _line(session, b)}
    return next((each for each in _line(session, a) if each.id in of_b), None)


def path_between(
    session: Session, a: Reference, b: Reference
) -> tuple[ModelVersion, ...]:
    """Return the versions from `a` over their common ancestor to `b`."""
    of_a, of_b = _line(session, a), _line(session, b)
    steps_down = {version.id: steps for steps, version in enumerate(of_b)}
    for up, version in enumerate(of_a):
        if version.id in steps_down:
            return (*of_a[: up + 1], *reversed(of_b[: steps_down[version.id]]))
    return ()


def _line(session: Session, reference: Reference) -> list[ModelVersion]:
    """Return a version and its ancestors, the root last."""
    row = find_version(session, reference)
    return [version_record(each) for each in (row, *ancestors_of(session, row.id))]
