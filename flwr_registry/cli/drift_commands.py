"""Commands about drift: what gets worse, and what served values are held against."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table
from rich.text import Text

from flwr_registry.cli.application import (
    Actor,
    Format,
    OutputFormat,
    ReferenceText,
    RegistryPlace,
    StoragePlace,
    app,
    opened_registry,
    print_json,
    print_rich,
)
from flwr_registry.cli.serving_commands import Factory, Predict
from flwr_registry.errors import WeightsFormatError
from flwr_registry.metric_direction import known_direction
from flwr_registry.records import DriftFinding, RecordedDrift
from flwr_registry.validation import DriftDetector
from flwr_registry.weights import read_model_file

_NPY = b"\x93NUMPY"


@app.command()
def drift(
    reference: ReferenceText,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=max|min]",
            help="Watch this metric; which way is better if its name does not tell.",
        ),
    ] = None,
    # There was a choice once: who still says it gets to know what became of it.
    test: Annotated[str | None, typer.Option(hidden=True)] = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
    output: Format = OutputFormat.DEFAULT,
) -> None:
    """Tell whether the run of a version, or production, gets worse, and since when.

    Of a model, and of a version that no run made, the model's newest run is judged.
    Exits with 1 when it does.
    """
    if test is not None:
        raise typer.BadParameter(
            "Page-Hinkley is the only test (ADWIN was removed, since it needs more "
            "rounds than federations have): leave it out",
            param_hint="--test",
        )
    detector = _detector(metric)
    with opened_registry(registry, storage) as opened:
        version = opened.get(reference)
        found = opened.drift(reference, detector=detector)
        run = opened.run_to_watch(reference)
        recorded = opened.drift_findings(version.model)
        if output is OutputFormat.JSON:
            described = {
                "run": run.provenance.name if run else None,
                "findings": [asdict(each) for each in found],
                "recorded": [asdict(each) for each in recorded],
            }
            print_json(opened, described)
        else:
            if not found:
                about = "no run to watch" if run is None else "nothing gets worse"
                if run is not None and run.id != version.run_id:
                    about = f"run {run.provenance.name}: {about}"
                print_rich(Text(f"{version.reference}: {about}"))
            _show(found, recorded)
    if found:
        raise typer.Exit(1)


@app.command("drift-baseline")
def drift_baseline(
    reference: ReferenceText,
    inputs: Annotated[
        Path,
        typer.Argument(
            help="A .npy array, or .npz arrays by name: 200 examples or more."
        ),
    ],
    factory: Factory = None,
    predict: Predict = None,
    actor: Actor = None,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
) -> None:
    """Say what inputs a version is meant for; a server then tells when others come."""
    from flwr_registry.serving.predictor import Predictor

    sys.path.insert(0, str(Path.cwd()))
    examples = _examples(inputs)
    with opened_registry(registry, storage) as opened:
        predictor = Predictor(reference, factory, predict=predict, registry=opened)
        try:
            baseline = predictor.baseline(examples)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="INPUTS") from error
        version = predictor.version.reference
        opened.set_drift_baseline(version, baseline, actor=actor)
    print_rich(
        f"{version} is held against {inputs}: {', '.join(baseline)}; a server takes "
        "notice when it loads the version"
    )


def _detector(metrics: Sequence[str] | None) -> DriftDetector:
    modes: dict[str, str | None] | None = None
    if metrics:
        split = (each.rpartition("=") for each in metrics)
        modes = {
            name if equals else mode: mode if equals else None
            for name, equals, mode in split
        }
    try:
        chosen = modes and {
            name: known_direction(name, mode, f"--metric {name}=")
            for name, mode in modes.items()
        }
        return DriftDetector(metrics=chosen)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _examples(place: Path) -> Any:
    try:
        with place.open("rb") as file:
            is_one_array = file.read(len(_NPY)) == _NPY
        if is_one_array:
            # Mapped, it cannot claim more than the file has.
            return np.load(place, mmap_mode="r", allow_pickle=False)
        return dict(read_model_file(place).weights)
    except (OSError, ValueError, WeightsFormatError) as error:
        raise typer.BadParameter(
            f"{place} is no .npy or .npz file of numbers: {error}", param_hint="INPUTS"
        ) from error


def _show(found: Sequence[DriftFinding], recorded: Sequence[RecordedDrift]) -> None:
    for each in found:
        print_rich(f"{each.severity.value}: {each.message}")
    if recorded:
        print_rich(_table(recorded))


def _table(recorded: Sequence[RecordedDrift]) -> Table:
    table = Table("found (UTC)", "version", "run", "kind", "severity", "what", box=None)
    for each in recorded:
        table.add_row(
            f"{each.created_at:%Y-%m-%d %H:%M:%S}",
            each.version or "",
            each.run_name or "",
            each.finding.kind.value,
            each.finding.severity.value,
            each.finding.message,
        )
    return table
