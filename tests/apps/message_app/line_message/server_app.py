"""The server's side: FedAvg or FedAvgM, with every round registered."""

from flwr.app import Array, ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg, FedAvgM

from flwr_registry import RegistryStrategy
from line_message.task import initial_weights

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the federation."""
    momentum = float(context.run_config["server-momentum"])
    inner = FedAvgM(server_momentum=momentum) if momentum else FedAvg()
    strategy = RegistryStrategy.from_context(context, inner)
    arrays = ArrayRecord({k: Array(v) for k, v in initial_weights().items()})
    strategy.start(
        grid=grid,
        initial_arrays=arrays,
        num_rounds=int(context.run_config["num-server-rounds"]),
    )
