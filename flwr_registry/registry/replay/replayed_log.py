"""The audit log, gone over entry by entry: what each says that the rows are then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.orm import Session

from flwr_registry.registry.audit_log import AuditCheck, AuditEntry, read_entries
from flwr_registry.registry.replay.expected_rows import ExpectedRows
from flwr_registry.registry.rows.json_values import plain_text
from flwr_registry.registry.rows.raw_rows import FIRST, UNSOUND_VALUE
from flwr_registry.registry.rows.version_db import VersionRow

__all__ = ["EARLIER", "SOMETIME", "ReplayedLog"]

SOMETIME = "?"
"""In place of a time that an entry of an earlier release does not tell."""

EARLIER = ("log", "earlier")
"""Stands in the expected rows when earlier releases wrote entries, too."""

VERSIONS = VersionRow.__tablename__
_PAGE = 1000
_REGISTERED = ("checksum", "file_size_bytes", "fingerprint")


class ReplayedLog:
    """What the log says so far.

    Attributes
    ----------
    check : AuditCheck
        Of the chain of hashes.
    problems : list of str
        Entries that make no sense.
    """

    def __init__(self, rows: ExpectedRows) -> None:
        self._rows = rows
        self._last_id = FIRST
        self._sequences: dict[str, int] = {}
        # By model: the changes that a rollback goes back over, newest last.
        self._ways_back: dict[str, list[tuple[int, str | None]]] = {}
        self.check = AuditCheck()
        self.problems: list[str] = []

    def catch_up(self, session: Session, *, pages: int | None = None) -> bool:
        """Go over the entries that came since; tell whether there may be more.

        Parameters
        ----------
        pages : int, optional
            At most so many; None for all.
        """
        done = 0
        while pages is None or done < pages:
            entries = read_entries(session, after_id=self._last_id, limit=_PAGE)
            if not entries:
                return False
            self.check = self.check.extended(entries)
            for entry in entries:
                self._apply(entry)
            self._last_id, done = entries[-1].id, done + 1
            if len(entries) < _PAGE:
                return False
        return True

    def _apply(self, entry: AuditEntry) -> None:
        if not entry.form and self._rows.get(*EARLIER) is None:
            self._rows.put(*EARLIER, {})
        try:
            change = _CHANGES.get(entry.action)
            if change is not None:
                change(self, entry)
            for table, seals in entry.details.get("rows", {}).items():
                prefix = f"{entry.model}:" if table == VERSIONS else ""
                for name, seal in seals.items():
                    self._update(entry, table, f"{prefix}{name}", seal=str(seal))
        except UNSOUND_VALUE:
            self.problems.append(
                f"entry {entry.id} ({entry.action}) does not tell what it should"
            )

    def _update(
        self, entry: AuditEntry, table: str, row: str, /, **changed: Any
    ) -> None:
        state = self._rows.get(table, row) or {}
        self._rows.put(table, row, {**state, **changed, "entry": entry.id})

    def _version(self, entry: AuditEntry, number: str | None, **changed: Any) -> None:
        name = f"{entry.model}:{number}"
        if self._rows.get(VERSIONS, name) is None:
            self.problems.append(
                f"entry {entry.id} ({entry.action}) is about {name}, which no entry "
                "before it registers"
            )
            return
        self._update(entry, VERSIONS, name, **changed)

    def _register(self, entry: AuditEntry) -> None:
        told = entry.details
        state = {each: told[each] for each in _REGISTERED if each in told}
        if "parent" in told:
            state["parent_version"] = told["parent"]
        if "run" in told:
            state["run_id"] = told["run"]
        if "withdrawn" in told:
            state["withdrawn"] = told["withdrawn"]
        if entry.version is None:
            raise ValueError
        self._update(
            entry,
            VERSIONS,
            f"{entry.model}:{entry.version}",
            **state,
            status=told["status"],
            doubtful=told["status"] == "failed",
            **dict.fromkeys(("is_production", "pinned", "superseded"), False),
            **dict.fromkeys(("promoted_at", "archived_at", "damaged_at")),
            bytes_removed_at=told.get("bytes_removed_at"),
        )

    def _move(self, entry: AuditEntry) -> None:
        told, model = entry.details, entry.model
        before, to, at = told["from"], told["to"], told.get("at", SOMETIME)
        if before is not None:
            state = self._rows.get(VERSIONS, f"{model}:{before}") or {}
            left = told.get("left") or (
                "failed" if state.get("doubtful") else "archived"
            )
            self._version(
                entry, before, is_production=False, status=left, archived_at=at
            )
        if to is not None:
            self._version(
                entry,
                to,
                is_production=True,
                status="active",
                promoted_at=at,
                archived_at=None,
            )
        sequence = self._sequences[model] = self._sequences.get(model, 0) + 1
        self._update(
            entry,
            "promotions",
            f"{model}/{sequence}",
            action=entry.action,
            before=before,
            to=to,
            actor=plain_text(entry.actor),
            reason=entry.reason,
            created_at=at,
            reverted=self._is_reverted(entry, to, sequence),
        )

    def _is_reverted(self, entry: AuditEntry, to: str | None, sequence: int) -> bool:
        """Tell whether a rollback goes over a change; mark those gone back over."""
        way = self._ways_back.setdefault(entry.model, [])
        if entry.action == "withdraw":
            return True
        if entry.action == "rollback" and any(target == to for _, target in way):
            while way[-1][1] != to:
                reverted, _ = way.pop()
                self._update(
                    entry, "promotions", f"{entry.model}/{reverted}", reverted=True
                )
            return True
        way.append((sequence, to))
        return False

    def _set_alias(self, entry: AuditEntry) -> None:
        name = f"{entry.model}@{entry.details['alias']}"
        at = entry.details.get("at", SOMETIME)
        self._update(
            entry, "model_aliases", name, version=entry.details["to"], updated_at=at
        )

    def _delete_alias(self, entry: AuditEntry) -> None:
        self._rows.forget("model_aliases", f"{entry.model}@{entry.details['alias']}")

    def _withdraw_node(self, entry: AuditEntry) -> None:
        for number in entry.details["versions"]:
            self._version(entry, number, withdrawn=True)
        node = str(entry.details["node"])
        # Withdrawn again, it keeps who did so first and why.
        if self._rows.get("withdrawals", node) is None:
            self._update(
                entry,
                "withdrawals",
                node,
                actor=plain_text(entry.actor),
                reason=entry.reason,
                created_at=entry.details.get("at", SOMETIME),
            )

    def _start_run(self, entry: AuditEntry) -> None:
        told = entry.details
        self._update(
            entry,
            "runs",
            str(told["run"]),
            name=told["name"],
            flwr_run_id=told["flwr_run_id"],
            model=entry.model,
        )

    def _supersede(self, entry: AuditEntry) -> None:
        for number in entry.details["superseded"]:
            self._version(entry, number, superseded=True)

    def _count_again(self, entry: AuditEntry) -> None:
        for number in entry.details["counts_again"]:
            self._version(entry, number, superseded=False)

    def _collect(self, entry: AuditEntry) -> None:
        at = entry.details.get("at", SOMETIME)
        for number in entry.details["versions"]:
            self._version(entry, number, bytes_removed_at=at)

    def _archive(self, entry: AuditEntry) -> None:
        at = entry.details.get("at", SOMETIME)
        self._version(entry, entry.version, status="archived", archived_at=at)

    def _doubt(self, entry: AuditEntry) -> None:
        status = entry.details["to"]
        self._version(entry, entry.version, status=status, doubtful=True)

    def _damage(self, entry: AuditEntry) -> None:
        at = entry.details.get("at", SOMETIME)
        self._version(entry, entry.version, damaged_at=at)

    def _mend(self, entry: AuditEntry) -> None:
        self._version(entry, entry.version, damaged_at=None)

    def _restore_bytes(self, entry: AuditEntry) -> None:
        self._version(entry, entry.version, bytes_removed_at=None, damaged_at=None)

    def _pin(self, entry: AuditEntry) -> None:
        self._version(entry, entry.version, pinned=entry.action == "pin")


_CHANGES: Mapping[str, Callable[[ReplayedLog, AuditEntry], None]] = {
    "archive": ReplayedLog._archive,
    "delete_alias": ReplayedLog._delete_alias,
    "doubt_metrics": ReplayedLog._doubt,
    "gc": ReplayedLog._collect,
    "import": ReplayedLog._register,
    "import_run": ReplayedLog._start_run,
    "pin": ReplayedLog._pin,
    "promote": ReplayedLog._move,
    "register": ReplayedLog._register,
    "repeat_round": ReplayedLog._count_again,
    "restore": ReplayedLog._register,
    "restore_bytes": ReplayedLog._restore_bytes,
    "resume_run": ReplayedLog._supersede,
    "rollback": ReplayedLog._move,
    "set_alias": ReplayedLog._set_alias,
    "start_again": ReplayedLog._supersede,
    "start_run": ReplayedLog._start_run,
    "unpin": ReplayedLog._pin,
    "verify_failed": ReplayedLog._damage,
    "verify_recovered": ReplayedLog._mend,
    "withdraw": ReplayedLog._move,
    "withdraw_node": ReplayedLog._withdraw_node,
}
