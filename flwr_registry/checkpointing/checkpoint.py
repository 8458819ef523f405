"""What a checkpoint holds, and its manifest."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

from flwr_registry.checkpointing.finished_round import FinishedRound
from flwr_registry.checkpointing.manifest_values import decoded, encoded
from flwr_registry.checkpointing.state_cipher import (
    EncryptedStateError,
    StateCipher,
    check_encrypted,
)
from flwr_registry.checkpointing.stored_objects import stored_object
from flwr_registry.errors import CheckpointError
from flwr_registry.records import (
    RunProvenance,
    StoredObject,
    VersionMetadata,
    check_name,
)
from flwr_registry.records.typed_values import counted_from, of_type, record_like
from flwr_registry.storage import BytesContent
from flwr_registry.weights import Architecture, Weights

__all__ = [
    "FORMAT",
    "Checkpoint",
    "CheckpointContent",
    "Manifest",
    "decrypted",
    "described",
    "read_manifest",
    "state_purpose",
    "with_encrypted_state",
    "write_manifest",
]

FORMAT = 3
"""Rises when an older release could misread a manifest; 3 has encrypted state."""

_PLAIN_FORMAT = 2
_ENCRYPTED = ("state", "random_state")

Model = TypeVar("Model")

Measured = Mapping[str, Any] | list[Any] | None
MetricsHistory = Mapping[str, Mapping[int, Measured]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointContent:
    """Everything that a run needs to go on after a round.

    Attributes
    ----------
    server_round : int
        The last finished round.
    model : str
        Name of the model that the run writes.
    version : str or None
        Version of the weights; None when they were not registered.
    tensor_type : str
        What the legacy API calls the form of the tensors.
    weights : Weights or StoredObject
        What the next round starts from. Stored ones are not written again.
    state : object
        What the strategy carries, as JSON can hold it.
    state_arrays : mapping of str to numpy.ndarray
        The arrays that `state` names.
    metrics : mapping
        Source to round to what was measured, of all rounds so far: metrics, None where
        there were none, in the legacy API a list of loss and metrics. Numbers, bytes,
        text, lists, tuples and arrays of numbers come back as what they were, numpy's
        as numpy's; anything else as its text.
    rounds : mapping of int to FinishedRound
        All rounds so far.
    random_state : object
        Of the generators that training draws from.
    strategy : str
        Qualified names of its class and of those it wraps.
    fingerprint : str
        Of the architecture of the model that the app gave to begin with; empty when it
        gave none.
    architecture : Architecture or None
        What the run's models look like; None in checkpoints of earlier releases.
    is_settled : bool
        That is the architecture of a round's model, not of the first one.
    provenance : RunProvenance or None
        Where the run comes from.
    metadata : VersionMetadata or None
        What is said of each of its versions.
    registry : str
        Where the database is that has the versions; empty in those of earlier releases.
    made_of_it : str
        What the server made of the weights before it sent them on, as a sketch; empty
        where that is themselves.

    Raises
    ------
    ValueError
        For a round below 0, which is the model that training starts from.
    """

    server_round: int
    model: str
    version: str | None
    weights: Weights | StoredObject
    state: Any = None
    state_arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    metrics: MetricsHistory = field(default_factory=dict)
    rounds: Mapping[int, FinishedRound] = field(default_factory=dict)
    random_state: Any = None
    strategy: str = ""
    fingerprint: str = ""
    architecture: Architecture | None = None
    is_settled: bool = False
    provenance: RunProvenance | None = None
    metadata: VersionMetadata | None = None
    tensor_type: str = ""
    registry: str = ""
    made_of_it: str = ""

    def __post_init__(self) -> None:
        if self.server_round < 0:
            raise ValueError(f"a server round is 0 or more, not {self.server_round}")


@dataclass(frozen=True, slots=True)
class Checkpoint(Generic[Model]):
    """A checkpoint that was read, each byte of it verified.

    Attributes
    ----------
    weights : Weights, or what was read in their place
        What the next round starts from.
    stored_weights : StoredObject
        Where they lie.
    content : CheckpointContent
        The rest; its weights are `stored_weights`.
    """

    weights: Model
    stored_weights: StoredObject
    content: CheckpointContent


@dataclass(frozen=True, slots=True)
class Manifest:
    """A checkpoint's facts and the places of its bytes.

    Attributes
    ----------
    encrypted : bytes
        State and random state, encrypted under a node key; the content has none then.
        Empty where the content has them.
    """

    content: CheckpointContent
    weights: StoredObject
    state_arrays: StoredObject | None
    encrypted: bytes = b""

    def content_with(
        self, cipher: StateCipher | None, folder: str
    ) -> CheckpointContent:
        """Return the content with its state, decrypted where that is needed.

        Parameters
        ----------
        folder : str
            Key prefix of the checkpoint.

        Raises
        ------
        EncryptedStateError
            Without the node key under which it was encrypted, or when it was encrypted
            for another checkpoint.
        """
        if not self.encrypted:
            return self.content
        purpose = state_purpose(folder)
        state = json.loads(decrypted(cipher, self.encrypted, purpose))
        return replace(self.content, **{name: state[name] for name in _ENCRYPTED})


def described(content: CheckpointContent) -> dict[str, Any]:
    """Turn a content, but for its arrays, into what JSON can hold.

    Raises
    ------
    TypeError, ValueError
        When the state is no plain data.
    """
    fields = {
        "format": _PLAIN_FORMAT,
        "server_round": content.server_round,
        "model": content.model,
        "version": content.version,
        "state": content.state,
        "metrics": {
            source: {str(number): encoded(each) for number, each in of.items()}
            for source, of in content.metrics.items()
        },
        "rounds": {
            str(number): finished.to_json()
            for number, finished in content.rounds.items()
        },
        "random_state": content.random_state,
        "strategy": content.strategy,
        "fingerprint": content.fingerprint,
        "architecture": content.architecture and content.architecture.to_json(),
        "is_settled": content.is_settled,
        "tensor_type": content.tensor_type,
        "registry": content.registry,
        "made_of_it": content.made_of_it,
        "provenance": encoded(content.provenance and asdict(content.provenance)),
        "metadata": encoded(content.metadata and asdict(content.metadata)),
    }
    _json(fields)
    return fields


def state_purpose(folder: str) -> str:
    """Say whose the state is, to be encrypted as that alone.

    Parameters
    ----------
    folder : str
        Key prefix of the checkpoint, which names run folder and round.
    """
    return f"strategy state of {folder}"


def decrypted(
    cipher: StateCipher | None, data: bytes | bytearray, purpose: str
) -> bytearray:
    """Decrypt with a cipher, which has to be there.

    Raises
    ------
    EncryptedStateError
        When it is not, or has another key.
    CheckpointError
        For data that no cipher wrote.
    """
    check_encrypted(data)
    if cipher is None:
        raise EncryptedStateError(
            f"the {purpose} is encrypted under a node key, and there is none: set "
            "FLWR_REGISTRY_NODE_KEY, or ModelRegistry(node_key=...), to the key that "
            "the run had"
        )
    return cipher.decrypted(data, purpose)


def with_encrypted_state(
    fields: Mapping[str, Any], cipher: StateCipher, folder: str
) -> dict[str, Any]:
    """Return what `described` gave, its state encrypted for one checkpoint alone."""
    state = BytesContent(_json({name: fields[name] for name in _ENCRYPTED}))
    purpose = state_purpose(folder)
    text = base64.b64encode(b"".join(cipher.encrypted(state, purpose))).decode()
    emptied = dict.fromkeys(_ENCRYPTED)
    return {**fields, **emptied, "format": FORMAT, "encrypted": text}


def write_manifest(
    fields: Mapping[str, Any], weights: StoredObject, arrays: StoredObject | None
) -> bytes:
    """Complete what `described` gave by the places of the bytes, as JSON."""
    places = {
        "weights": asdict(weights),
        "state_arrays": asdict(arrays) if arrays else None,
    }
    return _json({**fields, **places})


def read_manifest(data: bytes | bytearray) -> Manifest:
    """Read a manifest.

    Raises
    ------
    CheckpointError
        When a newer release wrote it, or it is no manifest.
    """
    try:
        fields = json.loads(data)
        newer = int(fields["format"]) > FORMAT
    except (LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CheckpointError("it is no manifest of a checkpoint") from error
    if newer:
        raise NewerFormatError(
            f"the checkpoint has format {fields['format']}, this release reads up to "
            f"{FORMAT}: upgrade flwr-registry"
        )
    try:
        return _manifest_of(fields)
    except Exception as error:
        # Of what somebody else wrote readers raise errors of many kinds.
        raise CheckpointError(
            "its manifest does not say what a checkpoint needs: "
            f"{type(error).__name__}: {str(error)[:200]}"
        ) from error


class NewerFormatError(CheckpointError):
    """A newer release wrote the checkpoint; going back to an older one is no remedy."""


def _manifest_of(fields: Mapping[str, Any]) -> Manifest:
    arrays, provenance = fields["state_arrays"], fields["provenance"]
    metadata, architecture = fields["metadata"], fields.get("architecture")
    weights = stored_object(fields["weights"])
    content = CheckpointContent(
        server_round=counted_from(0, fields["server_round"]),
        model=check_name(fields["model"], "model"),
        version=of_type(str | None, fields["version"]),
        weights=weights,
        state=fields["state"],
        metrics={
            source: {
                counted_from(0, int(server_round)): _measured(decoded(each))
                for server_round, each in of.items()
            }
            for source, of in fields["metrics"].items()
        },
        rounds={
            counted_from(0, int(number)): FinishedRound.from_json(said)
            for number, said in fields["rounds"].items()
        },
        random_state=of_type(dict | None, fields["random_state"]),
        strategy=of_type(str, fields["strategy"]),
        fingerprint=of_type(str, fields["fingerprint"]),
        architecture=Architecture.from_json(architecture) if architecture else None,
        is_settled=bool(fields.get("is_settled")),
        tensor_type=of_type(str, fields["tensor_type"]),
        registry=of_type(str, fields.get("registry", "")),
        made_of_it=of_type(str, fields.get("made_of_it", "")),
        provenance=_provenance(decoded(provenance)) if provenance else None,
        metadata=(
            record_like(VersionMetadata(), decoded(metadata)) if metadata else None
        ),
    )
    return Manifest(
        content,
        weights,
        stored_object(arrays) if arrays else None,
        _encrypted(fields["encrypted"]) if "encrypted" in fields else b"",
    )


def _encrypted(text: Any) -> bytes:
    data = base64.b64decode(of_type(str, text), validate=True)
    check_encrypted(data)
    return data


def _provenance(said: Any) -> RunProvenance:
    made = record_like(RunProvenance("", ""), said)
    check_name(made.name, "run")
    check_name(made.model, "model")
    return made


def _measured(said: Any) -> Measured:
    """Return metrics as a hook of either API gives them."""
    match said:
        case [_, None | dict()]:
            return list(said)
        case None | dict():
            return said
    raise TypeError(f"{str(said)[:40]!r} is no measure of a round")


def _json(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, allow_nan=False, separators=(",", ":")).encode()
