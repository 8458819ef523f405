"""The lines that a run leaves in Flower's own log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flwr_registry.records import DriftFinding, ModelVersion, RoundFacts, RunProvenance
from flwr_registry.strategy.resume.resume_point import ResumePoint
from flwr_registry.strategy.tolerance import LOGGER
from flwr_registry.strategy.verdict import Consequence
from flwr_registry.strategy.writing.trouble_log import shown_rounds
from flwr_registry.weights import Weights

__all__ = [
    "log_best",
    "log_doubts",
    "log_drift",
    "log_first_aggregate",
    "log_invalid",
    "log_late_objects",
    "log_left_out",
    "log_metric_left_out",
    "log_metric_missing",
    "log_objects_without_state",
    "log_other_bump",
    "log_other_names",
    "log_partial_rollback",
    "log_places",
    "log_promotion",
    "log_rejected_in_a_row",
    "log_resume",
    "log_secrets_in_clear",
    "log_summary",
    "log_unseen_model",
    "log_unseen_run",
    "log_version",
    "log_wait",
    "log_went_back",
    "log_widened",
    "log_without_model",
]

_SHOWN = 8


def log_other_bump(version: ModelVersion, bump: str | None, error: Exception) -> None:
    """Log that a version got a number of its architecture's own."""
    LOGGER.warning(
        "registry: round %s is registered as %s, not as a %s version: %s",
        version.server_round,
        version.reference,
        bump,
        error,
    )


def log_places(provenance: RunProvenance, database_url: str, storage_url: str) -> None:
    """Log at the start what is written, and where."""
    LOGGER.info(
        "registry: run %s writes model %s; database %s, storage %s",
        provenance.name,
        provenance.model,
        database_url,
        storage_url,
    )


def log_resume(point: ResumePoint, provenance: RunProvenance) -> None:
    """Log from where a run goes on."""
    content = point.checkpoint.content
    LOGGER.info(
        "registry: run %s goes on after round %d, from checkpoint %s (%s)",
        provenance.name,
        content.server_round,
        point,
        f"{content.model}:{content.version}" if content.version else "no version",
    )
    before = content.provenance.strategy_config if content.provenance else {}
    changed = [
        f"{name} (was {before[name]!r}, is {value!r})"
        for name, value in provenance.strategy_config.items()
        if name in before and before[name] != value
    ]
    if changed:
        LOGGER.info("registry: settings that changed: %s", ", ".join(changed))


def log_version(facts: RoundFacts, version: ModelVersion, seconds: float) -> None:
    """Log the line of a round that gave a version."""
    LOGGER.info(
        "registry: round %d: %s (sha256 %s, parent %s, %d/%d nodes, %.2f MB, %.0f ms)",
        facts.server_round,
        version.reference,
        version.checksum[:12],
        version.parent_version or "none",
        version.num_clients,
        len(facts.contributions),
        version.file_size_bytes / 1e6,
        1000 * seconds,
    )


def log_without_model(server_round: int, kept: ModelVersion | None) -> None:
    """Log that the strategy returned no model."""
    LOGGER.warning(
        "registry: round %d gave no model; the last one%s stays",
        server_round,
        _named(kept),
    )


def log_invalid(
    facts: RoundFacts,
    version: ModelVersion | None,
    errors: Sequence[str],
    consequence: Consequence,
    kept: ModelVersion | None,
) -> None:
    """Log why a model failed validation, and what follows."""
    LOGGER.warning(
        "registry: round %d failed validation%s: %s. %s%s.",
        facts.server_round,
        f", recorded as {version.reference} (failed)" if version else "",
        _first_of(errors, "; "),
        consequence.value,
        _named(kept) if consequence is Consequence.REJECT else "",
    )


def log_doubts(version: ModelVersion, doubts: Sequence[str]) -> None:
    """Log that a version fails for what was measured of it; training goes on."""
    LOGGER.warning(
        "registry: %s %s: %s. Training goes on with it.",
        version.reference,
        "stays in production although its metrics are doubtful"
        if version.is_production
        else "is failed now, since its metrics are doubtful",
        _first_of(doubts, "; "),
    )


def log_objects_without_state(attributes: Sequence[str]) -> None:
    """Log at a resume which objects start as the constructor made them."""
    LOGGER.warning(
        "registry: the checkpoint holds no state for the strategy's %s: it goes on as "
        "the constructor made it. If the run had it, the result will differ.",
        ", ".join(attributes),
    )


def log_partial_rollback() -> None:
    """Log that a rejected round left changes in the strategy."""
    LOGGER.warning(
        "registry: the strategy could be set back to before the rejected round only in "
        "part: it holds more than can be remembered in each round. What it changed "
        "beyond that stays; on_invalid='record' or 'raise' does without."
    )


def log_best(version: ModelVersion, metric: str) -> None:
    """Log that a version is the best so far."""
    LOGGER.info("registry: %s is the best by %s so far", version.reference, metric)


def log_promotion(version: ModelVersion, refusals: Sequence[str]) -> None:
    """Log that a version is in production, or why it is not."""
    if refusals:
        LOGGER.info(
            "registry: %s is not promoted: %s", version.reference, "; ".join(refusals)
        )
    else:
        LOGGER.info("registry: %s is in production", version.reference)


def log_drift(finding: DriftFinding) -> None:
    """Log that something is getting worse."""
    LOGGER.warning("registry: drift (%s): %s", finding.severity.value, finding.message)


def log_went_back(restored: ModelVersion | None) -> None:
    """Log that the next round trains on from an earlier model."""
    LOGGER.warning(
        "registry: training goes on from the model before the drift%s", _named(restored)
    )


def log_first_aggregate(differences: Sequence[str]) -> None:
    """Log that the run's first aggregate is unlike the model that it began with."""
    LOGGER.info(
        "registry: the strategy's first model differs from the one that training began "
        "with, and is the reference for all later ones: %s",
        _first_of(differences, "; "),
    )


def log_rejected_in_a_row(count: int, errors: Sequence[str]) -> None:
    """Log that training stands still, and what to set."""
    LOGGER.error(
        "registry: the models of the last %d rounds were rejected: training stands "
        "still (%s). If they are sound, let them pass with on_invalid='record' "
        "(registry-on-invalid in the run configuration), or say with "
        "validator=ModelValidator(...) what a model has to be like.",
        count,
        _first_of(errors, "; "),
    )


def log_other_names(num_names: int, num_arrays: int) -> None:
    """Log once a run that the user's names are not as many as a model's arrays."""
    LOGGER.warning(
        "registry: parameter_names has %d names, the model %d arrays: those without a "
        "name of their own are named by their position; all are so named where there "
        "are too many names, or one that is a position. Give the module whose "
        "parameters the clients send, or all names in their order.",
        num_names,
        num_arrays,
    )


def log_widened(weights: Weights) -> None:
    """Log once a run that a strategy's arithmetic gave other dtypes."""
    integers = [
        name
        for name, dtype in weights.cast_back.items()
        if np.dtype(dtype).kind in "iub"
    ]
    floats = [name for name in weights.cast_back if name not in set(integers)]
    for made, names in (("floats of the integers", integers), ("wider floats", floats)):
        if names:
            LOGGER.info(
                "registry: averaging made %s %s. They are stored as the strategy "
                "returned them; Weights.to_torch() casts them back.",
                made,
                _first_of(names, ", "),
            )


def log_left_out(attributes: Sequence[str]) -> None:
    """Log once for each attribute that it changed and no checkpoint can hold it."""
    LOGGER.warning(
        "registry: the strategy's %s changed since the run began, and checkpoints "
        "cannot hold it: a resumed run would start with what its constructor makes. "
        "Keep what changes as numbers, text, arrays, tensors, dataclasses, lists or "
        "dictionaries of these, or in an object with state_dict and load_state_dict.",
        ", ".join(attributes),
    )


def log_late_objects(attributes: Sequence[str]) -> None:
    """Log once for each object that it came up during training."""
    LOGGER.warning(
        "registry: the strategy's %s came up during training. Checkpoints hold its "
        "state, but a resumed run can only put it into an object that is there before "
        "its first round: make it in the constructor.",
        ", ".join(attributes),
    )


def log_secrets_in_clear(attributes: Sequence[str]) -> None:
    """Log once for each attribute that checkpoints hold what looks like a secret."""
    LOGGER.warning(
        "registry: the strategy's %s may be secret, and lies in clear in the "
        "checkpoints, since a resumed run needs it exactly. Set "
        "FLWR_REGISTRY_NODE_KEY, under which state is encrypted, or let the "
        "constructor take it from the environment and leave it as it is.",
        ", ".join(attributes),
    )


def log_metric_left_out(name: str, source: str, why: str) -> None:
    """Log once a run that something in the metrics is too large for one."""
    LOGGER.warning(
        "registry: metric %r of the %s is not recorded: %s. Metrics are numbers, short "
        "texts and short lists; send arrays in an ArrayRecord or as parameters.",
        name,
        source,
        why,
    )


def log_metric_missing(
    name: str, server_round: int | None, known: Sequence[str]
) -> None:
    """Log that a metric that decides did not come yet, or never came.

    Parameters
    ----------
    server_round : int or None
        None at the end of the run.
    """
    if server_round is None:
        LOGGER.warning(
            "registry: the metric %r was never measured, so nothing was decided by it",
            name,
        )
        return
    LOGGER.warning(
        "registry: the metric %r decides about checkpoints or the best version, but "
        "nothing measured it up to round %d (known: %s). Nothing is decided by it "
        "until it is measured.",
        name,
        server_round,
        ", ".join(known[:20]) or "none",
    )


def log_unseen_model(server_round: int, hook: str) -> None:
    """Log once a run that a round's model did not come through the strategy."""
    LOGGER.warning(
        "registry: the model of round %d did not come from the strategy's %s, so it "
        "is no version and no checkpoint holds it; so it will be with each such round. "
        "Let the server call strategy.%s, or register models by "
        "ModelRegistry.register.",
        server_round,
        hook,
        hook,
    )


def log_unseen_run(hook: str) -> None:
    """Log that a run ended in which no hook of the strategy was called."""
    LOGGER.warning(
        "registry: nothing is registered: start does not call the strategy's %s. Let "
        "it call the hooks on itself, as self.%s, wrap the strategy whose hooks it "
        "calls, or register models by ModelRegistry.register.",
        hook,
        hook,
    )


def log_wait(server_round: int, seconds: float) -> None:
    """Log that training waited for what was still to be written."""
    LOGGER.info(
        "registry: round %d waited %.1f s for storage and database",
        server_round,
        seconds,
    )


def log_unasked(server_round: int) -> None:
    """Warn that a server does not ask for what a finished round aggregated."""
    LOGGER.warning(
        "registry: round %d is done and is not trained again, but the server does not "
        "ask for its aggregate: the history of this start lacks its training metrics, "
        "which the registry has",
        server_round,
    )


def log_summary(
    provenance: RunProvenance,
    versions: Mapping[int, str],
    missing: Sequence[int],
    troubles: Sequence[str],
) -> None:
    """Log at the end what was registered, and how to see it."""
    numbers = list(versions.values())
    LOGGER.info(
        "registry: run %s registered %d version%s of %s%s; flwr-registry list %s",
        provenance.name,
        len(numbers),
        "" if len(numbers) == 1 else "s",
        provenance.model,
        f", {numbers[0]} to {numbers[-1]}" if numbers else "",
        provenance.model,
    )
    if troubles:
        LOGGER.warning(
            "registry: it failed %d times; the first: could not %s%s",
            len(troubles),
            troubles[0],
            f". Not registered: {shown_rounds(missing)}" if missing else "",
        )


def _first_of(texts: Sequence[str], separator: str) -> str:
    shown = separator.join(texts[:_SHOWN])
    more = len(texts) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _named(version: ModelVersion | None) -> str:
    return f" ({version.reference})" if version is not None else ""
