"""Runs by the number that ``flwr run`` prints."""

from __future__ import annotations

from collections.abc import Sequence

from flwr_registry.errors import InvalidReferenceError, ModelNotFoundError
from flwr_registry.records import ModelVersion, Run
from flwr_registry.registry import ModelRegistry

__all__ = ["find_flower_runs", "newest_version", "run_name", "versions_of"]

_SHOWN = 5
# Before a run's name that could be the number of another.
_BY_NAME = "runs:/"


def find_flower_runs(opened: ModelRegistry, text: str) -> list[Run]:
    """Find the runs that a text names by Flower's number; none where it is no number.

    Raises
    ------
    ModelNotFoundError
        When neither a run has the number, nor a model this name.
    InvalidReferenceError
        When both do.
    """
    if not text.isascii() or not text.isdigit():
        return []
    found = opened.runs(flwr_run_id=text)
    is_model = text in opened.models()
    if found and is_model:
        raise InvalidReferenceError(
            f"{text} is a model and a Flower run: write models:/{text}/latest for the "
            f"model, or search \"flwr_run_id = '{text}'\" for the run"
        )
    if not found and not is_model:
        raise ModelNotFoundError(
            f"no run has Flower's number {text}, and no model this name; "
            f"{_newest(opened)}",
            reference=text,
        )
    return found


def versions_of(opened: ModelRegistry, runs: Sequence[Run]) -> list[ModelVersion]:
    """List the versions that runs made, newest first."""
    ids = {run.id for run in runs}
    names = dict.fromkeys(run.provenance.name for run in runs)
    made = [each for name in names for each in opened.list(run=name)]
    return sorted(
        (each for each in made if each.run_id in ids), key=lambda each: -each.id
    )


def newest_version(opened: ModelRegistry, reference: str) -> str:
    """Return a reference as it is, or that of a Flower run's newest version.

    Raises
    ------
    InvalidReferenceError
        When the run made versions of several models.
    ModelNotFoundError
        When it made none, or nothing has this number or name.
    """
    runs = find_flower_runs(opened, reference)
    if not runs:
        return reference
    newest: dict[str, ModelVersion] = {}
    for version in versions_of(opened, runs):
        newest.setdefault(version.model, version)
    if not newest:
        names = ", ".join(sorted({run.provenance.name for run in runs}))
        raise ModelNotFoundError(
            f"Flower run {reference} (run {names}) made no version",
            reference=reference,
        )
    if len(newest) > 1:
        choices = " or ".join(sorted(each.reference for each in newest.values()))
        raise InvalidReferenceError(
            f"Flower run {reference} made versions of {len(newest)} models: "
            f"name one, such as {choices}"
        )
    return next(iter(newest.values())).reference


def run_name(opened: ModelRegistry, text: str) -> str:
    """Return a run's name as it is, or that of the run with Flower's number.

    After ``runs:/`` it is always a name.

    Raises
    ------
    InvalidReferenceError
        When several runs have it, or another run has it as its name.
    """
    if not text.isascii() or not text.isdigit():
        return text.removeprefix(_BY_NAME)
    names = {run.provenance.name for run in opened.runs(flwr_run_id=text)}
    if names and _is_name(opened, text):
        names.add(text)
    if len(names) > 1:
        choices = sorted(names - {text})
        choices += [f"{_BY_NAME}{text}"] if text in names else []
        raise InvalidReferenceError(
            f"{text} stands for several runs: give the name of one, "
            f"{' or '.join(choices)}"
        )
    return names.pop() if names else text


def _is_name(opened: ModelRegistry, text: str) -> bool:
    """Tell whether a run has this name; a lease is there before the run is."""
    if opened.run_lease(text) is not None:
        return True
    return any(run.provenance.name == text for run in opened.runs())


def _newest(opened: ModelRegistry) -> str:
    known: dict[str, str] = {}
    for run in opened.runs():
        if run.provenance.flwr_run_id:
            known.setdefault(run.provenance.flwr_run_id, run.provenance.name)
    if not known:
        return "no run here came from Flower's own command"
    shown = [f"{number} (run {name})" for number, name in known.items()][:_SHOWN]
    return f"the newest of Flower are {', '.join(shown)}"
