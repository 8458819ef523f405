"""The nodes' side: fit the line to the node's points, and measure it."""

from flwr.client import Client, ClientApp, NumPyClient
from flwr.common import Context, NDArrays, Scalar

from line_legacy.task import Weights, descend, initial_weights, loss, points


class LineClient(NumPyClient):
    """One node and its points."""

    def __init__(self, partition: int) -> None:
        self.partition = partition

    def fit(
        self, parameters: NDArrays, config: dict[str, Scalar]
    ) -> tuple[NDArrays, int, dict[str, Scalar]]:
        """Answer with weights that fit this node better."""
        weights = descend(_named(parameters), self.partition)
        metrics: dict[str, Scalar] = {"train_loss": loss(weights, self.partition)}
        return list(weights.values()), len(points(self.partition)[0]), metrics

    def evaluate(
        self, parameters: NDArrays, config: dict[str, Scalar]
    ) -> tuple[float, int, dict[str, Scalar]]:
        """Answer with the loss of the weights on this node."""
        measured = loss(_named(parameters), self.partition)
        return measured, len(points(self.partition)[0]), {"eval_loss": measured}


def _named(parameters: NDArrays) -> Weights:
    return dict(zip(initial_weights(), parameters, strict=True))


def client_fn(context: Context) -> Client:
    """Return the client of the node that `context` belongs to."""
    return LineClient(int(context.node_config["partition-id"])).to_client()


app = ClientApp(client_fn=client_fn)
