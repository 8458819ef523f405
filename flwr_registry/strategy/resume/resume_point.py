"""Where a run goes on: the checkpoint that is asked for, or the newest sound one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from flwr_registry.checkpointing import (
    Checkpoint,
    CheckpointContent,
    CheckpointManager,
    StateCipher,
    latest_run_folder,
    manifests_of,
    run_folders,
)
from flwr_registry.errors import (
    ObjectNotFoundError,
    RegistryError,
    ResumeError,
)
from flwr_registry.storage import StorageBackend
from flwr_registry.weights import NpyImages, load_npy_images

__all__ = ["ResumePoint", "find_resume_point", "run_named_in"]

_CHECKPOINT = re.compile(r"(?P<folder>[^/:@]+)/(?:round_)?0*(?P<round>[0-9]+)")


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """A verified checkpoint to go on from.

    Attributes
    ----------
    folder : str
        Of the start that wrote it.
    branches : bool
        It is not the newest of its folder, so what follows needs a folder of its own.
    cipher : StateCipher or None
        Decrypts the state of the checkpoints beside it.
    """

    folder: str
    checkpoint: Checkpoint[NpyImages]
    branches: bool = False
    cipher: StateCipher | None = None

    @property
    def server_round(self) -> int:
        """The last round that is done."""
        return self.checkpoint.content.server_round

    def without_bytes(self) -> ResumePoint:
        """Return what tells of the checkpoint, without its weights and arrays."""
        content = replace(self.checkpoint.content, state_arrays={})
        empty = NpyImages({}, opaque=False)
        light = replace(self.checkpoint, weights=empty, content=content)
        return replace(self, checkpoint=light)

    def without_given_model(self) -> ResumePoint:
        """Return the same, forgetting what model the app gave to begin with."""
        content = replace(self.checkpoint.content, fingerprint="")
        return replace(self, checkpoint=replace(self.checkpoint, content=content))

    def earlier(
        self, storage: StorageBackend, server_round: int
    ) -> CheckpointContent | None:
        """Return what an earlier checkpoint beside it holds, None if it is gone."""
        manager = CheckpointManager(storage, self.folder, cipher=self.cipher)
        try:
            return manager.load_round(server_round, lambda _, stored: stored).content
        except RegistryError:
            return None

    def __str__(self) -> str:
        return f"{self.folder}/round_{self.server_round:06d}"


def run_named_in(resume: bool | str) -> str | None:
    """Return the run of ``"trial/12"``; None where no run is named."""
    found = _CHECKPOINT.fullmatch(resume) if isinstance(resume, str) else None
    return found["folder"].partition("~")[0] if found else None


def find_resume_point(
    storage: StorageBackend,
    run: str | None,
    resume: bool | str,
    *,
    is_ours: Callable[[CheckpointContent], bool] = lambda _: True,
    cipher: StateCipher | None = None,
) -> ResumePoint | None:
    """Find the checkpoint to go on from; None when the run shall start.

    Parameters
    ----------
    run : str or None
        Name of the run.
    resume : bool or str
        As the option of `RegistryStrategy`.
    is_ours : callable
        Tells whether a checkpoint is of the registry that the run writes to; others may
        have a run of the same name in the same storage.

    cipher : StateCipher, optional
        Decrypts the state, where it was encrypted.

    Raises
    ------
    ResumeError
        When its state is encrypted under another node key, when there is none and one
        is insisted on, when none is sound, when all are of
        other registries, or without a name by which the run can be found.
    CheckpointError
        When a newer release wrote it.
    StorageError
        When the storage does not answer: that is no reason to start anew.
    """
    if resume is False:
        return None
    if run is None:
        raise ResumeError(
            "a run is found again by its own name: give run='my-experiment' (or "
            "registry-run in the run configuration) together with resume"
        )
    if isinstance(resume, str) and resume != "auto":
        return _named(storage, run, resume, is_ours, cipher)
    found = _newest(storage, run, is_ours, cipher)
    if found is None and resume is True:
        raise ResumeError(
            f"run {run} has no checkpoint in {storage.url}: resume='auto' starts a run "
            "that has none"
        )
    return found


def _newest(
    storage: StorageBackend,
    run: str,
    is_ours: Callable[[CheckpointContent], bool],
    cipher: StateCipher | None,
) -> ResumePoint | None:
    foreign = None
    for folder in reversed(run_folders(storage, run)):
        content = _newest_content(storage, folder)
        if content is None or is_ours(content):
            return _newest_in(storage, folder, run, cipher)
        foreign = foreign or content
    if foreign is not None:
        raise ResumeError(_foreign(storage, run, foreign))
    return None


def _newest_content(storage: StorageBackend, folder: str) -> CheckpointContent | None:
    """Return what the newest readable checkpoint tells of itself."""
    for found in manifests_of(storage, folder):
        if found.manifest is not None:
            return found.manifest.content
    return None


def _foreign(storage: StorageBackend, run: str, content: CheckpointContent) -> str:
    return (
        f"the checkpoints of run {run} in {storage.url} are of the registry at "
        f"{content.registry}, which this run does not write to: give that registry, or "
        "another run name. If that database is lost, resume=True goes on with an empty "
        "one in its place, and 'flwr-registry doctor --rebuild' takes its versions "
        "over into one that has its own"
    )


def _newest_in(
    storage: StorageBackend, folder: str, run: str, cipher: StateCipher | None
) -> ResumePoint | None:
    manager = CheckpointManager(storage, folder, cipher=cipher)
    checkpoint = manager.load_latest(load_npy_images)
    if checkpoint is None and manager.rounds():
        raise ResumeError(
            f"no checkpoint of run {run} in {storage.url} is sound (see the "
            "warnings before): restore the files, or start anew with resume=False"
        )
    return ResumePoint(folder, checkpoint, cipher=cipher) if checkpoint else None


def _named(
    storage: StorageBackend,
    run: str,
    wanted: str,
    is_ours: Callable[[CheckpointContent], bool],
    cipher: StateCipher | None,
) -> ResumePoint:
    folder, server_round = _place_of(storage, run, wanted)
    manager = CheckpointManager(storage, folder, cipher=cipher)
    try:
        checkpoint = manager.load_round(server_round, load_npy_images)
    except ObjectNotFoundError as error:
        rounds = ", ".join(map(str, manager.rounds())) or "none"
        raise ResumeError(
            f"there is no checkpoint {wanted} in {storage.url}: {folder} has those of "
            f"rounds {rounds}"
        ) from error
    if not is_ours(checkpoint.content):
        raise ResumeError(_foreign(storage, run, checkpoint.content))
    newest = latest_run_folder(storage, run)
    branches = folder != newest or manager.rounds()[-1] != server_round
    return ResumePoint(folder, checkpoint, branches, cipher)


def _place_of(storage: StorageBackend, run: str, wanted: str) -> tuple[str, int]:
    """Read ``run/round``, or find the checkpoint whose weights are a version's."""
    found = _CHECKPOINT.fullmatch(wanted)
    if found is not None:
        return found["folder"], int(found["round"])
    known = []
    for folder in reversed(run_folders(storage, run)):
        for each in manifests_of(storage, folder):
            if each.manifest is None:
                known.append(f"{each} (it cannot be read: {each.error})")
                continue
            content = each.manifest.content
            if wanted in _names_of(content.model, content.version):
                return folder, each.server_round
            known.append(f"{each} ({content.version or 'no version'})")
    raise ResumeError(
        f"no checkpoint of run {run} in {storage.url} holds {wanted}; there are "
        f"{', '.join(known) or 'none'}. Give one of them, or use it as initial= to "
        "train on from a version without its run"
    )


def _names_of(model: str, version: str | None) -> set[str]:
    forms = ("{v}", "{m}:{v}", "{m}/{v}", "models:/{m}/{v}")
    return {form.format(m=model, v=version) for form in forms} if version else set()
