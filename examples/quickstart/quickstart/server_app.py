"""The server's side: federated averaging, with every round registered."""

import torch
from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from flwr_registry import RegistryStrategy
from quickstart.task import SEED, Net, load_held_out_data, test

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the federation."""
    torch.manual_seed(SEED)
    strategy = RegistryStrategy.from_context(context, FedAvg())
    strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord(Net().state_dict()),
        num_rounds=int(context.run_config["num-server-rounds"]),
        evaluate_fn=evaluate,
    )


def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord:
    """Return how well the weights read digits that no node has seen."""
    net = Net()
    net.load_state_dict(arrays.to_torch_state_dict())
    loss, accuracy = test(net, load_held_out_data())
    return MetricRecord({"loss": loss, "accuracy": accuracy})
