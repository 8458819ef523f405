"""Reading and checking the audit log."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import TextIO

from flwr_registry.registry.audit_log import AuditCheck, AuditEntry, list_entries
from flwr_registry.registry.audit_reading import (
    sign_audit_head,
    verify_audit,
)
from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry
from flwr_registry.registry.exchange.exporting import export_audit_to
from flwr_registry.registry.signed_heads import SignedHead
from flwr_registry.registry.steps import read

__all__ = ["AsyncAuditVerbs", "AuditVerbs"]


class AuditVerbs(BlockingRegistry):
    """The verbs that read what was changed."""

    def audit(
        self,
        model: str | None = None,
        *,
        action: str | None = None,
        limit: int | None = 100,
    ) -> builtins.list[AuditEntry]:
        """List the changes of the registry, newest first.

        Parameters
        ----------
        model, action : str, optional
            Only of this model, only this verb, such as ``"promote"``.
        limit : int, optional
            At most so many; None for all.
        """
        return self._run(
            read(lambda s: list_entries(s, model=model, action=action, limit=limit))
        )

    def verify_audit(
        self,
        *,
        expect_hash: str | None = None,
        heads: str | Path | None = None,
        public_key: str | Path | None = None,
    ) -> AuditCheck:
        """Find entries that were edited, removed, added or put elsewhere.

        Parameters
        ----------
        expect_hash : str, optional
            `newest_hash` of an earlier check, kept elsewhere: without it nobody can see
            from the log alone that its newest entries were cut off.
        heads : str or Path, optional
            File of signed heads, see `sign_audit_head`: they have to be in the log.
        public_key : str or Path, optional
            Of the key that signed them, in PEM.

        Raises
        ------
        SealError
            For heads whose signature is wrong, or a key that cannot be used.
        """
        return self._run(verify_audit(expect_hash, _path(heads), _path(public_key)))

    def sign_audit_head(
        self, key: str | Path, *, heads: str | Path | None = None
    ) -> SignedHead:
        """Sign how long the audit log is and its newest hash, once it is found sound.

        Parameters
        ----------
        key : str or Path
            A private key in PEM, Ed25519 or ECDSA.
        heads : str or Path, optional
            File that the signed head is added to, kept where whoever can write to the
            database cannot.

        Raises
        ------
        SealError
            For a log that is not sound, or a key or file that cannot be used.
        """
        return self._run(sign_audit_head(Path(key), _path(heads)))

    def export_audit(self, file: TextIO | str | Path) -> int:
        """Write all entries as lines of JSON, oldest first; return how many.

        Each line holds all that its hash is computed over.

        Parameters
        ----------
        file : file open for text, str or Path
            An open file, or the path of a new one.

        Raises
        ------
        ExportError
            When a new file cannot be written there, or something is there.
        """
        return self._run(export_audit_to(file))


class AsyncAuditVerbs(AwaitedRegistry):
    """The verbs of `AuditVerbs`, awaited."""

    async def audit(
        self,
        model: str | None = None,
        *,
        action: str | None = None,
        limit: int | None = 100,
    ) -> builtins.list[AuditEntry]:
        """List the changes of the registry; see `ModelRegistry.audit`."""
        return await self._run(
            read(lambda s: list_entries(s, model=model, action=action, limit=limit))
        )

    async def verify_audit(
        self,
        *,
        expect_hash: str | None = None,
        heads: str | Path | None = None,
        public_key: str | Path | None = None,
    ) -> AuditCheck:
        """Check the audit log; see `ModelRegistry.verify_audit`."""
        return await self._run(
            verify_audit(expect_hash, _path(heads), _path(public_key))
        )

    async def sign_audit_head(
        self, key: str | Path, *, heads: str | Path | None = None
    ) -> SignedHead:
        """Sign the head of the log; see `ModelRegistry.sign_audit_head`."""
        return await self._run(sign_audit_head(Path(key), _path(heads)))

    async def export_audit(self, file: TextIO | str | Path) -> int:
        """Write all entries as lines of JSON; see `ModelRegistry.export_audit`."""
        return await self._run(export_audit_to(file))


def _path(place: str | Path | None) -> Path | None:
    return None if place is None else Path(place)
