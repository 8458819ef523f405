"""How a server is reached, and how much it takes."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, fields

from flwr_registry.serving.json_messages import MessageLimits

__all__ = ["ServerOptions"]

_MESSAGES = MessageLimits()
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Where a server listens, whom it answers, and its limits.

    Attributes
    ----------
    host, port
        Where to listen; port 0 takes a free one.
    token : str
        What a caller has to show as ``Authorization: Bearer``; empty for nothing.
    insecure : bool
        Listen on an address that others reach, without a token.
    max_body_bytes : int
        Longer requests are refused.
    max_open_body_bytes : int
        Bodies of all requests that are not answered yet; those beyond get status 503.
        As much may lie here of answers that their clients have not taken; beyond it,
        those that have lain longest are dropped.
    max_values : int
        Values in the JSON of a request.
    max_rows : int
        Examples in a request.
    max_answer_bytes : int
        A request whose answer would be longer is refused.
    max_connections : int
        That are open at once. Where the system allows few open files it is less, so
        that at least half of them are left for the registry.
    max_queued : int
        Requests that may wait for the model; those beyond get status 503.
    max_batch_rows : int
        Examples that are predicted at once.
    max_delay_seconds : float
        How long a batch waits for more requests.
    timeout_seconds : float
        From a complete request to its answer.
    transfer_seconds : float
        How long a head, a body or an answer may be under way; later requests get
        status 408.
    idle_seconds : float
        How long a connection may be open without a request.
    shutdown_seconds : float
        How long requests under way may take when the server is told to end.
    poll_seconds : float
        How often the registry is asked for another version.
    load_timeout_seconds : float
        How long a version may take to be loaded, in its trial and here; after that it
        hangs.
    without_trial : str
        Why versions are not tried in a process of their own before they are served, for
        the log; empty to try them. A trial starts a Python process, imports what the
        model needs, and holds the model once more on the same device.

    Raises
    ------
    ValueError
        For a number that makes no sense, or an address that others reach without a
        token.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token: str = ""
    insecure: bool = False
    max_body_bytes: int = 16 * 1024 * 1024
    max_open_body_bytes: int = 128 * 1024 * 1024
    max_values: int = _MESSAGES.max_values
    max_rows: int = _MESSAGES.max_rows
    max_answer_bytes: int = _MESSAGES.max_answer_bytes
    max_connections: int = 400
    max_queued: int = 256
    max_batch_rows: int = 256
    max_delay_seconds: float = 0.002
    timeout_seconds: float = 30.0
    transfer_seconds: float = 30.0
    idle_seconds: float = 5.0
    shutdown_seconds: float = 10.0
    poll_seconds: float = 1.0
    load_timeout_seconds: float = 120.0
    without_trial: str = ""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            lowest = 0 if each.name in {"port", "max_delay_seconds"} else 1e-3
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if is_number and value < lowest:
                raise ValueError(f"{each.name} is too small: {value}")
        if self.max_open_body_bytes < self.max_body_bytes:
            raise ValueError(
                f"max_open_body_bytes ({self.max_open_body_bytes}) is less than "
                f"max_body_bytes ({self.max_body_bytes}): one request would never fit"
            )
        if self.token and not self.token.isascii():
            raise ValueError("a token is ASCII text")
        if not (self.is_local or self.token or self.insecure):
            raise ValueError(
                f"{self.host} is reached by others: give a token (--token, or "
                "FLWR_REGISTRY_TOKEN), or say --insecure to let anybody ask"
            )

    @property
    def message_limits(self) -> MessageLimits:
        """How much one request may ask for."""
        return MessageLimits(
            max_values=self.max_values,
            max_rows=self.max_rows,
            max_answer_bytes=self.max_answer_bytes,
        )

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the server."""
        if self.host in _LOOPBACK_NAMES:
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def host_names(self) -> frozenset[str] | None:
        """Names that a request may call the server by; None for any.

        A web page that a browser on this machine shows could otherwise reach the server
        under a name of its own (DNS rebinding).
        """
        if not self.is_local or self.token:
            return None
        return frozenset([*_LOOPBACK_NAMES, self.host])
