"""A proxy before an HTTP server that fails at chosen requests, or that is not there.

::

    with faulty_proxy(endpoint) as (address, proxy):
        proxy.fail(Fault.LOST, "^PUT .*/a$", times=1)  # the next one that matches
        proxy.fail_all(Fault.STALLED)                  # each, until pass_all
        proxy.refuse()                                 # nobody listens, until pass_all
        proxy.pass_all()
"""

import http.client
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

__all__ = ["LASTING", "Fault", "FaultyProxy", "faulty_proxy"]

_RESET = struct.pack("ii", 1, 0)


class Fault(Enum):
    """What becomes of a request."""

    UNAVAILABLE = "answered with 503"
    RESET = "the connection is reset before it is passed on"
    CUT = "half of the answer's body comes"
    LOST = "it is done, and the answer is lost"
    DELAYED = "it is passed on late"
    STALLED = "it is read and never answered"
    NOT_CONTINUED = "its body is never asked for"
    DRIPPED = "the answer's body comes byte by byte, for ever"


LASTING = frozenset({Fault.STALLED, Fault.NOT_CONTINUED, Fault.DRIPPED})
"""Faults that never end by themselves."""


class FaultyProxy:
    """Which requests fail.

    Attributes
    ----------
    seen : list of str
        Method and path of each request.
    answered_bytes : int
        Length of all bodies that were handed back.
    connections : int
        How many are open.
    """

    def __init__(self, endpoint: str) -> None:
        self.upstream = urlsplit(endpoint).netloc
        self.seen: list[str] = []
        self.answered_bytes = 0
        self.connections = 0
        self.released = threading.Event()
        self.address: tuple[str, int] = ("127.0.0.1", 0)
        self._server: ThreadingHTTPServer | None = None
        self._lock = threading.Lock()
        self._fault: Fault | None = None
        self._pattern = re.compile("")
        self._left = 0

    def fail(self, fault: Fault, pattern: str, times: int) -> None:
        """Let the next requests whose ``METHOD path`` matches fail."""
        self._fault, self._pattern, self._left = fault, re.compile(pattern), times

    def fail_all(self, fault: Fault, pattern: str = "") -> None:
        """Let every request from now on fail that matches."""
        self.fail(fault, pattern, sys.maxsize)

    def refuse(self) -> None:
        """Let every connection be refused, and end those that are there."""
        self.stop()

    def pass_all(self) -> None:
        """Let everything pass from now on; what was held up is cut off."""
        self._left = 0
        self.released.set()
        self.released = threading.Event()
        if self._server is None:
            self.start()

    def count_connection(self, change: int) -> None:
        """Note that one came or went."""
        with self._lock:
            self.connections += change

    def start(self) -> None:
        """Listen, at the same address as before."""
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = _Server(self.address, handler)
        self.address = ("127.0.0.1", self._server.server_port)
        # Looked for often, since it ends at the next look after it is told to.
        serve = partial(self._server.serve_forever, poll_interval=0.01)
        threading.Thread(target=serve, daemon=True).start()

    def stop(self) -> None:
        """Listen no more."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        self.released.set()
        self.released = threading.Event()

    @property
    def left(self) -> int:
        """How many are still to fail."""
        return self._left

    def take(self, request: str) -> Fault | None:
        """Tell what becomes of a request."""
        with self._lock:
            self.seen.append(request)
            if not self._left or not self._pattern.search(request):
                return None
            self._left -= 1
            return self._fault


@contextmanager
def faulty_proxy(endpoint: str) -> Iterator[tuple[str, FaultyProxy]]:
    """Run a proxy; yield its address and what it is told."""
    proxy = FaultyProxy(endpoint)
    proxy.start()
    try:
        yield f"http://127.0.0.1:{proxy.address[1]}", proxy
    finally:
        proxy.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *given: Any) -> None:
        self.open: set[socket.socket] = set()
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for each in list(self.open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultyProxy
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.proxy.count_connection(+1)

    def finish(self) -> None:
        self.proxy.count_connection(-1)
        with suppress(OSError):
            super().finish()

    def handle_expect_100(self) -> bool:
        return True  # when it is known what becomes of the request

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def _pass_on(self) -> None:
        fault = self.proxy.take(f"{self.command} {self.path}")
        if fault is Fault.RESET:
            self._reset()
            return
        if fault is Fault.NOT_CONTINUED:
            self._hold()
            return
        if self.headers.get("Expect", "").lower() == "100-continue":
            super().handle_expect_100()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if fault is Fault.STALLED:
            self._hold()
            return
        if fault is Fault.UNAVAILABLE:
            self._answer(503, [], b"<Error><Code>SlowDown</Code></Error>")
            return
        if fault is Fault.DELAYED:
            time.sleep(1)
        status, headers, content = self._asked(body)
        if fault is Fault.LOST:
            self._reset()
        elif fault is Fault.DRIPPED:
            self._drip(content)
        else:
            self._answer(status, headers, content, cut=fault is Fault.CUT)

    def _asked(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = http.client.HTTPConnection(self.proxy.upstream, timeout=30)
        try:
            upstream.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection", "transfer-encoding"):
                    upstream.putheader(name, value)
            upstream.endheaders(body)
            answer = upstream.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            upstream.close()

    def _answer(
        self,
        status: int,
        headers: list[tuple[str, str]],
        content: bytes,
        *,
        cut: bool = False,
    ) -> None:
        self.send_response_only(status)
        self.proxy.answered_bytes += len(content)
        length = dict(headers).get("Content-Length", str(len(content)))
        for name, value in headers:
            if name.lower() not in (
                "content-length",
                "connection",
                "transfer-encoding",
            ):
                self.send_header(name, value)
        self.send_header(
            "Content-Length", length if self.command == "HEAD" else str(len(content))
        )
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.wfile.flush()
            self._reset()

    def _hold(self) -> None:
        """Answer nothing until it is released, or the other side goes away."""
        released = self.proxy.released
        self.connection.settimeout(0.05)
        while not released.is_set():
            with suppress(TimeoutError):
                if not self.connection.recv(2**16):
                    break
        self.close_connection = True

    def _drip(self, content: bytes) -> None:
        released = self.proxy.released
        self.send_response_only(200)
        self.send_header("Content-Length", str(max(len(content), 1000)))
        self.end_headers()
        for number in range(max(len(content), 1000)):
            if released.wait(0.2):
                break
            self.wfile.write(content[number : number + 1] or b" ")
        self.close_connection = True

    def _reset(self) -> None:
        linger = socket.SO_LINGER
        self.connection.setsockopt(socket.SOL_SOCKET, linger, _RESET)
        self.close_connection = True
        self.connection.close()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on

    def log_message(self, *_: object) -> None:
        """Say nothing."""
