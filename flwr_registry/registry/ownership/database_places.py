"""Where the database of a mark lies, as far as one machine can tell."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import unquote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

__all__ = ["DatabasePlace"]

_PORT = 5432
_LOCAL_HOSTS = {"", "localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class DatabasePlace:
    """A database's URL together with the machine that wrote it down.

    Attributes
    ----------
    text : str
        The URL as it was written; any text, since it is read from a storage.
    machine : str
        The name of the machine.
    """

    text: str
    machine: str

    def is_gone(self, here: DatabasePlace) -> bool:
        """Tell whether a database other than that of `here` is known to be gone.

        It is when nothing lies in its place any more, or the database of `here` does.
        """
        if not self._means_the_same_to(here):
            return False
        if files := self._files:
            return not any(map(_may_exist, files)) or self._is_file_of(here)
        return self.text == here.text

    def is_that_of(self, here: DatabasePlace) -> bool:
        """Tell whether the database of `here` is in it, by whatever user or driver."""
        if not self._means_the_same_to(here):
            return False
        if self._files:
            return self._is_file_of(here)
        return self.text == here.text or self._server == here._server

    def _means_the_same_to(self, here: DatabasePlace) -> bool:
        return not self._is_local or self.machine == here.machine

    def _is_file_of(self, here: DatabasePlace) -> bool:
        own = [file for file in here._files if os.path.exists(file)]
        return any(_is_same(file, each) for file in self._files for each in own)

    @property
    def _url(self) -> URL | None:
        try:
            return make_url(self.text)
        except (ArgumentError, ValueError):
            return None

    @property
    def _files(self) -> set[str]:
        """What its SQLite file may be called; empty for a server.

        Some releases of SQLAlchemy write characters of a path as they are, others
        escape them.
        """
        url = self._url
        if url is None or url.get_backend_name() != "sqlite" or not url.database:
            return set()
        _, _, whole = self.text.partition(":///")
        return {url.database, unquote(url.database), whole}

    @property
    def _server(self) -> tuple[object, ...]:
        """Which schemas of which database of which server it means."""
        url = self._url
        if url is None or url.get_backend_name() == "sqlite":
            return (self.text,)
        query = url.query
        host = query.get("host", url.host or "")
        return (
            host.casefold() if isinstance(host, str) else host,
            query.get("port", str(url.port or _PORT)),
            query.get("dbname", url.database or url.username or ""),
            query.get("options", ""),
        )

    @property
    def _is_local(self) -> bool:
        """The same URL means another database on another machine."""
        url = self._url
        if url is None or url.get_backend_name() == "sqlite":
            return True
        hosts = url.query.get("host", url.host or "")
        named = hosts.split(",") if isinstance(hosts, str) else hosts
        return any(host in _LOCAL_HOSTS or host[0] in "/@" for host in named)


def _may_exist(file: str) -> bool:
    """Tell whether a file is there; one that may not be looked at may be."""
    try:
        os.stat(file)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True
    return True


def _is_same(file: str, other: str) -> bool:
    try:
        return os.path.samefile(file, other)
    except (OSError, ValueError):
        return False
