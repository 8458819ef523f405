"""The server's side: federated averaging, with every round registered."""

from flwr.common import Context, NDArrays, Scalar, ndarrays_to_parameters
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg

from flwr_registry import RegistryStrategy
from legacy.task import Net, arrays_of, load_held_out_data, net_of, test


def server_fn(context: Context) -> ServerAppComponents:
    """Return the strategy and the number of rounds of the federation."""
    net = Net()
    strategy = RegistryStrategy.from_context(
        context,
        FedAvg(
            initial_parameters=ndarrays_to_parameters(arrays_of(net)),
            evaluate_fn=evaluate,
            fit_metrics_aggregation_fn=mean_by_examples,
            evaluate_metrics_aggregation_fn=mean_by_examples,
        ),
        parameter_names=net,
    )
    config = ServerConfig(num_rounds=int(context.run_config["num-server-rounds"]))
    return ServerAppComponents(strategy=strategy, config=config)


def evaluate(
    server_round: int, arrays: NDArrays, config: dict[str, Scalar]
) -> tuple[float, dict[str, Scalar]]:
    """Return how well the weights read digits that no node has seen."""
    loss, accuracy = test(net_of(arrays), load_held_out_data())
    return loss, {"accuracy": accuracy}


def mean_by_examples(
    replies: list[tuple[int, dict[str, Scalar]]],
) -> dict[str, Scalar]:
    """Return each metric's mean over the nodes, weighted by their examples."""
    examples = sum(count for count, _ in replies)
    return {
        name: sum(count * float(metrics[name]) for count, metrics in replies) / examples
        for name in replies[0][1]
    }


app = ServerApp(server_fn=server_fn)
