"""The nodes' side: teach the network the node's own digits, and test it on some."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from torch.utils.data import TensorDataset

from quickstart import task

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Answer with weights that know this node's digits better."""
    net = received_net(message)
    data, _ = node_data(context)
    loss = task.train(
        net,
        data,
        epochs=int(context.run_config["local-epochs"]),
        learning_rate=float(context.run_config["learning-rate"]),
        batch_size=int(context.run_config["batch-size"]),
    )
    metrics = MetricRecord({"train_loss": loss, "num-examples": len(data)})
    content = RecordDict({"arrays": ArrayRecord(net.state_dict()), "metrics": metrics})
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Answer with how well the weights read the digits kept back on this node."""
    _, data = node_data(context)
    loss, accuracy = task.test(received_net(message), data)
    metrics = MetricRecord(
        {"eval_loss": loss, "eval_acc": accuracy, "num-examples": len(data)}
    )
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def received_net(message: Message) -> task.Net:
    """Return the network with the weights that the server sent."""
    net = task.Net()
    net.load_state_dict(message.content.array_records["arrays"].to_torch_state_dict())
    return net


def node_data(context: Context) -> tuple[TensorDataset, TensorDataset]:
    """Return this node's digits, to train on and to test on."""
    return task.load_node_data(
        node=int(context.node_config["partition-id"]),
        num_nodes=int(context.node_config["num-partitions"]),
    )
