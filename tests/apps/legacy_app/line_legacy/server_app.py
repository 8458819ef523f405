"""The server's side: FedAvg, with every round registered."""

from flwr.common import Context, ndarrays_to_parameters
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg

from flwr_registry import RegistryStrategy
from line_legacy.task import initial_weights


def server_fn(context: Context) -> ServerAppComponents:
    """Return the strategy and the number of rounds of the run."""
    weights = initial_weights()
    inner = FedAvg(initial_parameters=ndarrays_to_parameters(list(weights.values())))
    strategy = RegistryStrategy.from_context(
        context, inner, parameter_names=list(weights)
    )
    rounds = int(context.run_config["num-server-rounds"])
    return ServerAppComponents(
        strategy=strategy, config=ServerConfig(num_rounds=rounds)
    )


app = ServerApp(server_fn=server_fn)
