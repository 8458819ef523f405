"""The nodes' side: teach the network the node's own digits, and test it on some."""

from flwr.client import Client, ClientApp, NumPyClient
from flwr.common import Context, NDArrays, Scalar

from legacy import task


class DigitsClient(NumPyClient):
    """One node and its digits."""

    def __init__(self, context: Context) -> None:
        self.run_config = context.run_config
        self.train_data, self.test_data = task.load_node_data(
            node=int(context.node_config["partition-id"]),
            num_nodes=int(context.node_config["num-partitions"]),
        )

    def fit(
        self, parameters: NDArrays, config: dict[str, Scalar]
    ) -> tuple[NDArrays, int, dict[str, Scalar]]:
        """Answer with weights that know this node's digits better."""
        net = task.net_of(parameters)
        loss = task.train(
            net,
            self.train_data,
            epochs=int(self.run_config["local-epochs"]),
            learning_rate=float(self.run_config["learning-rate"]),
            batch_size=int(self.run_config["batch-size"]),
        )
        return task.arrays_of(net), len(self.train_data), {"train_loss": loss}

    def evaluate(
        self, parameters: NDArrays, config: dict[str, Scalar]
    ) -> tuple[float, int, dict[str, Scalar]]:
        """Answer with how well the weights read the digits kept back on this node."""
        loss, accuracy = task.test(task.net_of(parameters), self.test_data)
        return loss, len(self.test_data), {"eval_acc": accuracy}


def client_fn(context: Context) -> Client:
    """Return the client of the node that the context belongs to."""
    return DigitsClient(context).to_client()


app = ClientApp(client_fn=client_fn)
