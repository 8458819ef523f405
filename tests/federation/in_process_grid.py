"""A `Grid` whose nodes answer at once, in this process."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.app.error import Error
from flwr.app.message_type import MessageType
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from federation.canonical import Canonical, canonical
from federation.clients import NODE_IDS, Answer, Arrays, Clients
from federation.faults import Fault, FaultKind, fault_of, poisoned

__all__ = ["RUN_ID", "InProcessGrid", "digits_run", "to_arrays", "to_record"]

RUN_ID = 2**63 + 2_718_281_828


def digits_run() -> Run:
    """Return what Flower tells of a run; its id exceeds a signed 64-bit integer."""
    run = Run.create_empty(RUN_ID)
    run.fab_id = "acme/digits-app"
    run.fab_version = "1.2.0"
    run.fab_hash = "5f" * 32
    run.federation_id = "@acme/hospitals"
    return run


def to_record(arrays: Arrays) -> ArrayRecord:
    """Return arrays as Flower sends them."""
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


def to_arrays(record: ArrayRecord) -> Arrays:
    """Return Flower's arrays as numpy's."""
    return {name: array.numpy() for name, array in record.items()}


class InProcessGrid(Grid):
    """Answers every message in the order sent, and records what was sent.

    Parameters
    ----------
    clients : Clients
        What the nodes answer.
    node_ids : sequence of int
        The nodes, in the order in which `get_node_ids` names them.
    faults : iterable of Fault
        Which nodes fail, and when.
    arrival_seed : int or None
        Shuffles the replies; None returns them in the order of the messages.
    """

    def __init__(
        self,
        clients: Clients,
        *,
        node_ids: Sequence[int] = NODE_IDS,
        faults: Iterable[Fault] = (),
        arrival_seed: int | None = None,
    ) -> None:
        self.clients = clients
        self.node_ids = tuple(node_ids)
        self.faults = tuple(faults)
        self.sent: list[Canonical] = []
        self._arrival = None if arrival_seed is None else random.Random(arrival_seed)
        self._waiting: dict[str, Message] = {}
        self._num_messages = 0
        self.set_run(digits_run())

    def set_run(self, run: Run) -> None:
        """Make `run` the one that messages belong to, as a Flower process does."""
        self._run = run
        TaskIdentity.run_id = run.run_id
        TaskIdentity.node_id = 1
        TaskIdentity.task_id = 1

    @property
    def run(self) -> Run:
        """The run that messages belong to."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a message to a node."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return the nodes in their fixed order."""
        return list(self.node_ids)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Record the messages and answer them; return their ids."""
        return [self._push(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that there are."""
        waiting = [self._waiting.pop(key, None) for key in message_ids]
        return [reply for reply in waiting if reply is not None]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Return the replies; a node that never answers is left out."""
        replies = list(self.pull_messages(self.push_messages(messages)))
        if self._arrival is not None:
            self._arrival.shuffle(replies)
        return replies

    def _push(self, message: Message) -> str:
        self._record(message)
        self._num_messages += 1
        message_id = str(self._num_messages)
        message.metadata.__dict__["_message_id"] = message_id
        reply = self._reply(message)
        if reply is not None:
            self._waiting[message_id] = reply
        return message_id

    def _record(self, message: Message) -> None:
        self.sent.append(canonical(message))

    def _round_of(self, message: Message) -> int:
        return int(_config(message)["server-round"])

    def _reply(self, message: Message) -> Message | None:
        evaluating = message.metadata.message_type == MessageType.EVALUATE
        node_id = message.metadata.dst_node_id
        server_round = self._round_of(message)
        fault = fault_of(self.faults, server_round, node_id, evaluating=evaluating)
        if fault is FaultKind.NO_REPLY:
            return None
        if fault is FaultKind.ERROR:
            reason = f"node {node_id} ran out of memory"
            error = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason)
            return Message(error, reply_to=message)
        return self._answer(message, server_round, fault)

    def _answer(
        self, message: Message, server_round: int, fault: FaultKind | None
    ) -> Message:
        evaluating = message.metadata.message_type == MessageType.EVALUATE
        node_id, config = message.metadata.dst_node_id, _config(message)
        ask = self.clients.evaluate if evaluating else self.clients.train
        answer = ask(node_id, server_round, _arrays(message), config)
        return Message(_content(answer, fault), reply_to=message)


def _config(message: Message) -> dict[str, Any]:
    return dict(next(iter(message.content.config_records.values())))


def _arrays(message: Message) -> Arrays:
    return to_arrays(next(iter(message.content.array_records.values())))


def _content(answer: Answer, fault: FaultKind | None) -> RecordDict:
    metrics = MetricRecord({"num-examples": answer.num_examples, **answer.metrics})
    content = RecordDict({"metrics": metrics})
    if answer.arrays:
        arrays = poisoned(answer.arrays) if fault is FaultKind.NAN else answer.arrays
        content["arrays"] = to_record(arrays)
    return content
