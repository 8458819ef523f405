"""PostgreSQL servers that stop answering: behind a proxy, or frozen themselves."""

from __future__ import annotations

import re
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import psutil
from sqlalchemy import NullPool, create_engine, text

__all__ = ["Mode", "PostgresProxy", "frozen_server", "postgres_proxy"]

_RESET = struct.pack("ii", 1, 0)


class Mode(Enum):
    """What becomes of connections."""

    PASS = "all is passed on"
    STALL = "nothing is passed on: old connections and new ones get no answer"
    CUT = "old connections are reset, new ones as soon as they are made"
    REFUSE = "old connections are reset, new ones refused"


class PostgresProxy:
    """A place before a server, whose mode can be changed at any time.

    A connection that was stalled stays so when others pass again, as after a firewall
    has forgotten it.

    Attributes
    ----------
    seen : bytearray
        All that clients sent while it was passed on.
    """

    def __init__(self, server: tuple[str, int]) -> None:
        self.seen = bytearray()
        self._server = server
        self._mode = Mode.PASS
        self._trigger: _Trigger | None = None
        self._lock = threading.RLock()
        self._pairs: list[_Pair] = []
        self._listener: socket.socket | None = None
        self.port = self._listen(0)

    @property
    def mode(self) -> Mode:
        """What becomes of connections now."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        with self._lock:
            was_refusing, self._mode = self._mode is Mode.REFUSE, mode
            self._trigger = None
            for pair in self._pairs:
                if mode is Mode.STALL:
                    pair.is_stalled = True
                elif mode is not Mode.PASS:
                    pair.cut()
            if mode is Mode.REFUSE:
                self._stop_listening()
            elif was_refusing:
                self._listen(self.port)

    def change_at(
        self, text: bytes, mode: Mode, *, answer_only: bool = False, time: int = 1
    ) -> None:
        """Change the mode when a client sends `text`, once or so many times.

        With `answer_only` the server still gets it, and its answer is lost.
        """
        self._trigger = _Trigger(text, mode, answer_only, time)

    def close(self) -> None:
        """End it, and all its connections."""
        self.mode = Mode.REFUSE

    def _listen(self, port: int) -> int:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return int(listener.getsockname()[1])

    def _stop_listening(self) -> None:
        if self._listener is not None:
            # Closing alone does not wake the thread that accepts.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                if self._mode in (Mode.CUT, Mode.REFUSE):
                    _reset(client)
                    continue
                pair = _Pair(client, socket.create_connection(self._server))
                pair.is_stalled = self._mode is Mode.STALL
                self._pairs.append(pair)
            for source, target in (pair.ends, pair.ends[::-1]):
                threading.Thread(
                    target=self._pump, args=(pair, source, target), daemon=True
                ).start()

    def _pump(self, pair: _Pair, source: socket.socket, target: socket.socket) -> None:
        is_client = source is pair.ends[0]
        look = self._look_at_request if is_client else self._look_at_answer
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if look(pair, data):
                    target.sendall(data)
        # A server that does not answer does not say goodbye either; a client's end is
        # passed on, so that no session of the server stays.
        if is_client or not pair.is_stalled:
            pair.close()

    def _look_at_request(self, pair: _Pair, data: bytes) -> bool:
        with self._lock:
            if pair.is_stalled:
                return False
            trigger = self._trigger
            if trigger is not None and trigger.is_pulled_by(data):
                if not trigger.answer_only:
                    self.mode = trigger.mode
                    return False
                self._trigger = None
                pair.mode_at_answer = trigger.mode
            self.seen += data
            return True

    def _look_at_answer(self, pair: _Pair, _data: bytes) -> bool:
        with self._lock:
            if pair.mode_at_answer is not None:
                self.mode = pair.mode_at_answer
                return False
            return not pair.is_stalled


@dataclass
class _Trigger:
    text: bytes
    mode: Mode
    answer_only: bool
    left: int

    def is_pulled_by(self, data: bytes) -> bool:
        self.left -= self.text in data
        return self.left <= 0


class _Pair:
    """A client's connection and the one to the server that stands for it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.ends = (client, server)
        self.is_stalled = False
        self.mode_at_answer: Mode | None = None

    def cut(self) -> None:
        """Reset both."""
        for end in self.ends:
            _reset(end)

    def close(self) -> None:
        """End both, and wake the threads that read from them."""
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.shutdown(socket.SHUT_RD)
    end.close()


@contextmanager
def postgres_proxy(url: str) -> Iterator[tuple[PostgresProxy, str]]:
    """Put a proxy before the server of a URL; give it, and the URL that leads there."""
    found = re.search(r"127\.0\.0\.1:(\d+)", url)
    assert found, f"no server on 127.0.0.1 in {url}"
    proxy = PostgresProxy(("127.0.0.1", int(found[1])))
    try:
        yield proxy, url.replace(found[0], f"127.0.0.1:{proxy.port}")
    finally:
        proxy.close()


@contextmanager
def frozen_server(url: str) -> Iterator[None]:
    """Stop all processes of the server of a URL; its host still accepts connections."""
    with create_engine(url, poolclass=NullPool).connect() as connection:
        folder = connection.execute(text("SHOW data_directory")).scalar_one()
    number = int((Path(folder) / "postmaster.pid").read_text().split()[0])
    postmaster = psutil.Process(number)
    # Itself first, so that it starts no others.
    postmaster.send_signal(signal.SIGSTOP)
    sessions = postmaster.children(recursive=True)
    try:
        for session in sessions:
            session.send_signal(signal.SIGSTOP)
        yield
    finally:
        for process in (*sessions, postmaster):
            process.send_signal(signal.SIGCONT)
