"""A proxy before an HTTP server that fails at chosen requests."""

import http.client
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

__all__ = ["Fault", "FaultyProxy", "faulty_proxy"]

_RESET = struct.pack("ii", 1, 0)


class Fault(Enum):
    """What becomes of a request."""

    UNAVAILABLE = "answered with 503"
    RESET = "the connection is reset before it is passed on"
    CUT = "half of the answer's body comes"
    LOST = "it is done, and the answer is lost"
    DELAYED = "it is passed on late"


class FaultyProxy:
    """Which requests fail.

    Attributes
    ----------
    seen : list of str
        Method and path of each request.
    answered_bytes : int
        Length of all bodies that were handed back.
    """

    def __init__(self, endpoint: str) -> None:
        self.upstream = urlsplit(endpoint).netloc
        self.seen: list[str] = []
        self.answered_bytes = 0
        self._lock = threading.Lock()
        self._fault: Fault | None = None
        self._pattern = re.compile("")
        self._left = 0

    def fail(self, fault: Fault, pattern: str, times: int) -> None:
        """Let the next requests whose ``METHOD path`` matches fail."""
        self._fault, self._pattern, self._left = fault, re.compile(pattern), times

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
    kind = type("Handler", (_Handler,), {"proxy": proxy})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultyProxy
    protocol_version = "HTTP/1.1"

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
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if fault is Fault.UNAVAILABLE:
            self._answer(503, [], b"<Error><Code>SlowDown</Code></Error>")
            return
        if fault is Fault.DELAYED:
            time.sleep(1)
        status, headers, content = self._asked(body)
        if fault is Fault.LOST:
            self._reset()
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

    def _reset(self) -> None:
        linger = socket.SO_LINGER
        self.connection.setsockopt(socket.SOL_SOCKET, linger, _RESET)
        self.close_connection = True
        self.connection.close()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on

    def log_message(self, *_: object) -> None:
        """Say nothing."""
