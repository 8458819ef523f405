"""Signatures of versions by OpenSSF model-signing, with a key of one's own.

Signed is a folder with one file, ``MODEL-VERSION.safetensors``: the name is part of
what is signed, so no version can take the place of another.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType

from flwr_registry.errors import ExportError, RegistryError, SealError
from flwr_registry.extras import how_to_install
from flwr_registry.records import ModelVersion
from flwr_registry.registry.exchange.unfit_versions import refuse_unfit
from flwr_registry.registry.exchange.whole_files import check_free, whole_file
from flwr_registry.registry.steps import Steps, byte_work, read
from flwr_registry.registry.versions.queries import find_record
from flwr_registry.registry.versions.references import parse_reference
from flwr_registry.registry.versions.removed_bytes import refuse_removed_bytes
from flwr_registry.storage import StorageBackend
from flwr_registry.weights import copy_verified

__all__ = ["sign", "verify_signature"]


def sign(
    storage: StorageBackend, reference: str, key: Path, path: Path, *, overwrite: bool
) -> Steps[ModelVersion]:
    """Write the signature of a version's file, verified on the way.

    Raises
    ------
    SealError
        When model-signing is not installed, or the key cannot be used.
    ExportError
        When the place is taken, or cannot be written.
    InvalidStateError
        For a version that must not be used, or has no bytes.
    """
    version = yield from _found(reference)
    refuse_unfit(version)
    check_free(path, overwrite=overwrite)
    yield from byte_work(partial(_sign, storage, version, key, path))
    return version


def verify_signature(
    storage: StorageBackend, reference: str, signature: Path, public_key: Path
) -> Steps[ModelVersion]:
    """See that a version's file has the content and the number that were signed.

    Raises
    ------
    SealError
        When it has not, or something that is needed cannot be read.
    """
    version = yield from _found(reference)
    check = partial(_verify, storage, version, signature, public_key)
    yield from byte_work(check)
    return version


def _found(reference: str) -> Steps[ModelVersion]:
    wanted = parse_reference(reference)
    return read(lambda session: refuse_removed_bytes(find_record(session, wanted)))


def _sign(
    storage: StorageBackend, version: ModelVersion, key: Path, path: Path
) -> None:
    signing, _ = _model_signing()
    _require(key)
    try:
        config = signing.Config().use_elliptic_key_signer(private_key=key)
    except (TypeError, ValueError) as error:
        raise SealError(
            f"{key} cannot sign ({error}): it takes a private key in PEM without a "
            "password, from 'openssl ecparam -name prime256v1 -genkey -noout -out "
            "FILE'"
        ) from error
    with _folder(storage, version) as folder:
        try:
            with whole_file(path) as temporary:
                config.sign(folder, temporary)
        except OSError as error:
            raise ExportError(f"cannot write {path}: {error}") from error


def _verify(
    storage: StorageBackend, version: ModelVersion, signature: Path, public_key: Path
) -> None:
    _, verifying = _model_signing()
    _require(signature)
    _require(public_key)
    with _folder(storage, version) as folder:
        try:
            config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
        except (TypeError, ValueError) as error:
            raise SealError(
                f"{public_key} is no public key of an elliptic curve in PEM: 'openssl "
                "pkey -in KEY -pubout -out FILE' writes that of a private one"
            ) from error
        try:
            config.verify(folder, signature)
        except RegistryError:
            raise
        except Exception as error:
            # It raises whatever the parsers that it uses do.
            raise SealError(
                f"{version.reference} is not what was signed in {signature} with the "
                f"key of {public_key}: do not use it ({error})"
            ) from error


@contextmanager
def _folder(storage: StorageBackend, version: ModelVersion) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="flwr-registry-") as place:
        folder = Path(place) / f"{version.model}-{version.version}"
        folder.mkdir()
        with (folder / f"{folder.name}.safetensors").open("xb") as file:
            copy_verified(storage, version.stored, file)
        yield folder


def _model_signing() -> tuple[ModuleType, ModuleType]:
    try:
        from model_signing import signing, verifying
    except ImportError as error:
        how = how_to_install("signing")
        raise SealError(f"model-signing is not installed: {how}") from error
    return signing, verifying


def _require(file: Path) -> None:
    if not file.is_file():
        raise SealError(f"there is no file {file}")
