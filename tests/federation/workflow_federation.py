"""Flower's workflows for legacy strategies, over Flower's own client apps."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from flwr.app import Context, Message, RecordDict
from flwr.client import ClientApp, NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS
from flwr.server import LegacyContext, ServerConfig
from flwr.server.workflow.constant import MAIN_PARAMS_RECORD

from federation.clients import Arrays, Clients
from federation.faults import FaultKind
from federation.in_process_grid import RUN_ID, InProcessGrid

__all__ = ["WorkflowGrid", "play_workflow"]


@dataclass(frozen=True)
class _Node(NumPyClient):  # type: ignore[misc]
    """A node as a user of the legacy API writes it."""

    node_id: int
    server_round: int
    clients: Clients
    initial: Arrays

    def get_parameters(self, config: dict[str, Any]) -> list[Any]:
        return list(self.initial.values())

    def fit(
        self, parameters: list[Any], config: dict[str, Any]
    ) -> tuple[list[Any], int, dict[str, Any]]:
        arrays = dict(zip(self.initial, parameters, strict=True))
        answer = self.clients.train(self.node_id, self.server_round, arrays, config)
        return list(answer.arrays.values()), answer.num_examples, dict(answer.metrics)

    def evaluate(
        self, parameters: list[Any], config: dict[str, Any]
    ) -> tuple[float, int, dict[str, Any]]:
        arrays = dict(zip(self.initial, parameters, strict=True))
        answer = self.clients.evaluate(self.node_id, self.server_round, arrays, config)
        loss = float(answer.metrics["eval_loss"])
        return loss, answer.num_examples, dict(answer.metrics)


class WorkflowGrid(InProcessGrid):
    """A grid whose nodes run a client app of Flower each.

    Keys and masks of secure aggregation are drawn anew in each run: they are answered,
    but not recorded in `sent`.

    Parameters
    ----------
    secure : bool
        The nodes take part in secure aggregation.
    """

    def __init__(
        self, clients: Clients, initial: Arrays, *, secure: bool, **options: Any
    ) -> None:
        super().__init__(clients, **options)
        self._initial = initial
        self._round = 0
        self._mods = [secaggplus_mod] if secure else []
        self._contexts = {
            node_id: Context(RUN_ID, node_id, {}, RecordDict(), {})
            for node_id in self.node_ids
        }

    def _push(self, message: Message) -> str:
        # One content may be sent to many nodes, each of which changes its own.
        message.content = deepcopy(message.content)
        return super()._push(message)

    def _record(self, message: Message) -> None:
        """Record what a node gets, less what secure aggregation draws by chance."""
        configs = message.content.config_records
        secret = configs.pop(RECORD_KEY_CONFIGS, None)
        if message.content:
            super()._record(message)
        if secret is not None:
            configs[RECORD_KEY_CONFIGS] = secret

    def _round_of(self, message: Message) -> int:
        return int(message.metadata.group_id or 0)

    def _answer(
        self, message: Message, server_round: int, fault: FaultKind | None
    ) -> Message:
        node_id = message.metadata.dst_node_id
        node = _Node(node_id, server_round, self.clients, self._initial)
        app = ClientApp(client_fn=lambda context: node.to_client(), mods=self._mods)
        return app(message, self._contexts[node_id])


def play_workflow(
    workflow: Callable[[Any, Any], None],
    strategy: Any,
    grid: WorkflowGrid,
    rounds: int,
) -> tuple[Any, Any]:
    """Run a workflow; return its last model and its `History`."""
    context = LegacyContext(
        context=Context(RUN_ID, 1, {}, RecordDict(), {}),
        config=ServerConfig(num_rounds=rounds),
        strategy=strategy,
    )
    workflow(grid, context)
    return context.state.array_records[MAIN_PARAMS_RECORD], context.history
