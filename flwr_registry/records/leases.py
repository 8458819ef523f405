"""Who holds a run: one start at a time may write into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

__all__ = ["Lease", "LeaseHolder"]


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """A process, told apart from all others of this and every other machine.

    Attributes
    ----------
    host, user : str
        For people to read; they decide nothing.
    pid : int
        Number of the process, in its own name space.
    boot_id, pid_namespace, process_start : str
        Between which starts of a machine, among which processes, and since when it
        runs. Empty where the system does not tell.
    """

    host: str
    pid: int
    boot_id: str = ""
    pid_namespace: str = ""
    process_start: str = ""
    user: str = ""

    def __str__(self) -> str:
        user = f" of {self.user}" if self.user else ""
        return f"process {self.pid}{user} on {self.host}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One start's hold on a run.

    Attributes
    ----------
    run : str
        Name of the run.
    start_number : int
        From 1 on. Each start takes a higher one, and only the highest may write.
    token : str
        Tells two starts apart that take the same number.
    holder : LeaseHolder
        The process that holds it.
    since : datetime
        When it was taken by the clock of the holder, for people to read.
    lease_seconds : float
        Without a renewal in that time it may be taken over.
    renewals : int
        Rises while the holder lives.
    released : bool
        Its holder needs it no more, or a person freed it.
    """

    run: str
    start_number: int
    token: str
    holder: LeaseHolder
    since: datetime
    lease_seconds: float = field(default=30.0)
    renewals: int = 0
    released: bool = False

    def __str__(self) -> str:
        return (
            f"start {self.start_number}, {self.holder}, since "
            f"{self.since:%Y-%m-%d %H:%M:%S %Z}"
        )

    def is_before(self, other: Lease) -> bool:
        """Tell whether the other one has the run, and this one may write no more."""
        if self.start_number == other.start_number:
            return self.token != other.token
        return self.start_number < other.start_number

    def to_json(self) -> dict[str, Any]:
        """Return what does not change while the lease is held."""
        return {
            "start_number": self.start_number,
            "token": self.token,
            "holder": asdict(self.holder),
            "since": self.since.isoformat(),
            "lease_seconds": self.lease_seconds,
        }

    @classmethod
    def from_json(cls, run: str, said: Mapping[str, Any], **changed: Any) -> Lease:
        """Read what `to_json` gave.

        Raises
        ------
        LookupError, TypeError, ValueError
            For anything else.
        """
        return cls(
            run=run,
            start_number=int(said["start_number"]),
            token=str(said["token"]),
            holder=LeaseHolder(**said["holder"]),
            since=datetime.fromisoformat(said["since"]),
            lease_seconds=float(said["lease_seconds"]),
            **changed,
        )
