"""The nodes' side: fit the line to the node's points, and measure it."""

import time

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from line_message.task import Weights, descend, loss, points

app = ClientApp()


def _weights(message: Message) -> Weights:
    arrays = message.content.array_records["arrays"]
    return {name: array.numpy() for name, array in arrays.items()}


def _partition(context: Context) -> int:
    return int(context.node_config["partition-id"])


@app.train()
def train(message: Message, context: Context) -> Message:
    """Answer with weights that fit this node better."""
    partition = _partition(context)
    time.sleep(float(context.run_config["round-seconds"]))
    weights = descend(_weights(message), partition)
    metrics = MetricRecord(
        {
            "num-examples": len(points(partition)[0]),
            "train_loss": loss(weights, partition),
        }
    )
    arrays = ArrayRecord({name: Array(value) for name, value in weights.items()})
    content = RecordDict({"arrays": arrays, "metrics": metrics})
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Answer with the loss of the weights on this node."""
    partition = _partition(context)
    metrics = MetricRecord(
        {
            "num-examples": len(points(partition)[0]),
            "eval_loss": loss(_weights(message), partition),
        }
    )
    return Message(RecordDict({"metrics": metrics}), reply_to=message)
