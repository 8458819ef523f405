"""Where the database and the storage lie when the user does not say."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from flwr_registry.errors import DatabaseError
from flwr_registry.registry.database.engines import place_of
from flwr_registry.storage import LocalStorageBackend, StorageBackend, unbounded_storage

__all__ = ["DATABASE_FILE", "Places", "decide_places", "resolve_places"]

DATABASE_FILE = "registry.db"
URL_VARIABLE = "FLWR_REGISTRY_URL"
STORAGE_VARIABLE = "FLWR_REGISTRY_STORAGE"
HOME_VARIABLE = "FLWR_HOME"

_logger = logging.getLogger("flwr")

Place = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Places:
    """Absolute places of a registry.

    Attributes
    ----------
    database : sqlalchemy.URL
        With the password, if there is one.
    storage : str or StorageBackend
        A folder, an fsspec URL, or the storage that was given.
    warnings : tuple of str
        One for each relative path that was resolved.
    """

    database: URL
    storage: str | StorageBackend
    warnings: tuple[str, ...] = ()

    @property
    def shown_database_url(self) -> str:
        """The database without its password."""
        return place_of(self.database)

    @property
    def storage_url(self) -> str:
        """The storage as text, without credentials."""
        return self.storage if isinstance(self.storage, str) else self.storage.url


def resolve_places(
    url: Place | None = None, storage: Place | StorageBackend | None = None
) -> Places:
    """Resolve places with this process's environment, and log a warning if relative.

    Raises
    ------
    DatabaseError
        For a database URL that cannot be used.
    """
    found = decide_places(
        url, storage, environment=os.environ, home=Path.home(), here=Path.cwd()
    )
    for warning in found.warnings:
        _warn_once(warning)
    return found


def decide_places(
    url: Place | None,
    storage: Place | StorageBackend | None,
    *,
    environment: Mapping[str, str],
    home: Path,
    here: Path,
) -> Places:
    """Decide where the database and the storage lie.

    Each is the argument, else the environment's, else beside the other, else in
    ``registry/`` under Flower's home.

    Parameters
    ----------
    url : str or path, optional
        SQLAlchemy URL, or the path of an SQLite file.
    storage : str, path or StorageBackend, optional
        Folder, fsspec URL, or a storage.
    environment : mapping
        Read for ``FLWR_REGISTRY_URL``, ``FLWR_REGISTRY_STORAGE`` and ``FLWR_HOME``.
    home : Path
        For ``~``.
    here : Path
        The working directory, against which only a relative ``FLWR_HOME`` counts.
    """
    root = _default_root(environment, home, here)
    resolver = _Resolver(root, home)
    place = url if url is not None else environment.get(URL_VARIABLE) or None
    store = storage if storage is not None else environment.get(STORAGE_VARIABLE)
    resolved_storage = resolver.storage(store) if store else None
    if place is not None:
        database = resolver.database(place)
    else:
        folder = _local_folder(resolved_storage) or root
        database = _sqlite(folder / DATABASE_FILE)
    if resolved_storage is None:
        on_file = database.get_backend_name() == "sqlite" and database.database
        resolved_storage = str(Path(on_file).parent if on_file else root)
    return Places(database, resolved_storage, tuple(resolver.warnings))


@cache
def _warn_once(warning: str) -> None:
    _logger.warning(warning)


class _Resolver:
    def __init__(self, root: Path, home: Path) -> None:
        self._root = root
        self._home = home
        self.warnings: list[str] = []

    def database(self, place: Place) -> URL:
        text = os.fspath(place)
        if "://" not in text:
            return _sqlite(self._absolute(text, "database"))
        url = _parsed(text)
        if url.get_backend_name() != "sqlite":
            return url
        name = url.database or ""
        if name in {"", ":memory:"} or name.startswith("file:"):
            raise DatabaseError(
                f"{text} names no file: a registry in memory would be empty in every "
                "other thread and process; use sqlite:////absolute/path/registry.db"
            )
        return url.set(database=str(self._absolute(name, "database")))

    def storage(self, store: Place | StorageBackend) -> str | StorageBackend:
        if not isinstance(store, str | os.PathLike):
            return store
        text = os.fspath(store)
        if text.startswith("file://"):
            text = unquote(urlsplit(text).path)
        return text if "://" in text else str(self._absolute(text, "storage"))

    def _absolute(self, text: str, kind: str) -> Path:
        if text == "~" or text.startswith(("~/", "~\\")):
            text = str(self._home) + text[1:]
        if os.path.isabs(text):
            return Path(os.path.normpath(text))
        absolute = Path(os.path.normpath(self._root / text))
        self.warnings.append(
            f"the relative {kind} path {text!r} is taken as {absolute}: an app runs in "
            "whatever folder its SuperLink was started in, so give absolute paths"
        )
        return absolute


def _parsed(text: str) -> URL:
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except ArgumentError as error:
        raise DatabaseError(
            "the database URL cannot be read: write sqlite:////absolute/path/"
            "registry.db or postgresql://user@host/database"
        ) from error
    if backend == "postgres":
        url, backend = url.set(drivername="postgresql"), "postgresql"
    if backend not in {"sqlite", "postgresql"}:
        raise DatabaseError(
            f"{backend} databases are not supported: use sqlite or postgresql"
        )
    return url


def _default_root(environment: Mapping[str, str], home: Path, here: Path) -> Path:
    flower = environment.get(HOME_VARIABLE)
    folder = Path(flower) if flower else home / ".flwr"
    if flower and flower.startswith("~"):
        folder = Path(str(home) + flower[1:])
    return Path(os.path.normpath(here / folder / "registry"))


def _local_folder(storage: str | StorageBackend | None) -> Path | None:
    if isinstance(storage, str):
        return None if "://" in storage else Path(storage)
    if storage is not None and isinstance(
        unbounded_storage(storage), LocalStorageBackend
    ):
        return Path(storage.url)
    return None


def _sqlite(path: Path) -> URL:
    return URL.create("sqlite", database=str(path))
