"""The server's side: it sees models and counts, never a patient."""

from flwr.app import Array, ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from flwr_registry import RegistryStrategy
from hospitals.task import HOSPITALS, initial_model

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the federation."""
    strategy = RegistryStrategy.from_context(
        context, FedAvg(min_available_nodes=len(HOSPITALS))
    )
    model = initial_model()
    strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord({k: Array(v) for k, v in model.items()}),
        num_rounds=int(context.run_config["num-server-rounds"]),
    )
