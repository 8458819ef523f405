"""Where the database and the storage lie, and who says so."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from flwr_registry.errors import DatabaseError
from flwr_registry.masking import masked_url
from flwr_registry.registry.database.engines import place_of
from flwr_registry.shown_text import OneLineLogger
from flwr_registry.storage import LocalStorageBackend, StorageBackend, unbounded_storage

__all__ = ["DATABASE_FILE", "Origin", "Places", "decide_places", "resolve_places"]

DATABASE_FILE = "registry.db"
URL_VARIABLE = "FLWR_REGISTRY_URL"
STORAGE_VARIABLE = "FLWR_REGISTRY_STORAGE"
HOME_VARIABLE = "FLWR_HOME"
# What runs the code of an app is started by a SuperLink, in whatever folder that is in.
_APP_PROGRAMS = {"flwr-serverapp", "flwr-simulation", "flwr-clientapp"}

_logger = OneLineLogger("flwr")

Place = str | os.PathLike[str]


class Origin(StrEnum):
    """Who says where a database or a storage lies."""

    ARGUMENT = "argument"
    URL_VARIABLE = URL_VARIABLE
    STORAGE_VARIABLE = STORAGE_VARIABLE
    BESIDE_STORAGE = "beside the storage"
    BESIDE_DATABASE = "beside the database"
    HOME_VARIABLE = f"default, in {HOME_VARIABLE}"
    DEFAULT = "default, in Flower's home"


@dataclass(frozen=True, slots=True)
class Places:
    """Absolute places of a registry.

    Attributes
    ----------
    database : sqlalchemy.URL
        With the password, if there is one.
    storage : str or StorageBackend
        A folder, an fsspec URL, or the storage that was given.
    database_origin, storage_origin : Origin
        Who says so.
    warnings : tuple of str
        One for each relative path that is not resolved against the working directory.
    """

    database: URL
    storage: str | StorageBackend
    database_origin: Origin
    storage_origin: Origin
    warnings: tuple[str, ...] = ()

    @property
    def shown_database_url(self) -> str:
        """The database without its password."""
        return place_of(self.database)

    @property
    def storage_url(self) -> str:
        """The storage as text, without credentials."""
        given = self.storage
        return masked_url(given) if isinstance(given, str) else given.url


def resolve_places(
    url: Place | None = None,
    storage: Place | StorageBackend | None = None,
    *,
    in_app: bool = False,
) -> Places:
    """Resolve places with this process's environment, and log what should be absolute.

    Parameters
    ----------
    in_app : bool
        They come from a Flower app; so they do in the programs that run one.

    Raises
    ------
    DatabaseError
        For a database URL that cannot be used.
    """
    found = decide_places(
        url,
        storage,
        environment=os.environ,
        home=Path.home(),
        here=Path.cwd(),
        in_app=in_app or Path(sys.argv[0]).name in _APP_PROGRAMS,
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
    in_app: bool = False,
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
        The working directory, against which relative paths count.
    in_app : bool
        A Flower app asks, which was started in a folder that nobody chose: relative
        paths count against ``registry/`` under Flower's home, with a warning.
    """
    root = _default_root(environment, home, here)
    resolver = _Resolver(root if in_app else here, home, warns=in_app)
    default = Origin.HOME_VARIABLE if environment.get(HOME_VARIABLE) else Origin.DEFAULT
    place = url if url is not None else environment.get(URL_VARIABLE) or None
    store = storage if storage is not None else environment.get(STORAGE_VARIABLE)
    database_origin = Origin.URL_VARIABLE if url is None else Origin.ARGUMENT
    storage_origin = Origin.STORAGE_VARIABLE if storage is None else Origin.ARGUMENT
    resolved_storage = resolver.storage(store) if store else None
    if place is not None:
        database = resolver.database(place)
    else:
        folder = _local_folder(resolved_storage)
        database_origin = default if folder is None else Origin.BESIDE_STORAGE
        database = _sqlite((folder or root) / DATABASE_FILE)
    if resolved_storage is None:
        on_file = database.get_backend_name() == "sqlite" and database.database
        is_beside = on_file and place is not None
        storage_origin = Origin.BESIDE_DATABASE if is_beside else default
        resolved_storage = str(Path(on_file).parent if on_file else root)
    return Places(
        database,
        resolved_storage,
        database_origin,
        storage_origin,
        tuple(resolver.warnings),
    )


@cache
def _warn_once(warning: str) -> None:
    _logger.warning(warning)


class _Resolver:
    def __init__(self, folder: Path, home: Path, *, warns: bool) -> None:
        self._folder = folder
        self._home = home
        self._warns = warns
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
        if os.path.isabs(text):  # noqa: PTH117
            return Path(os.path.normpath(text))
        absolute = Path(os.path.normpath(self._folder / text))
        if self._warns:
            self.warnings.append(
                f"the relative {kind} path {text!r} is taken as {absolute}: an app "
                "runs in whatever folder its SuperLink was started in, so give "
                "absolute paths"
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
