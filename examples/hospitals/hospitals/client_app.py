"""A hospital's side: fit the model to its patients, who never leave it."""

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from hospitals import task

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Answer with a model that fits this hospital's patients better."""
    patients, _ = hospital_patients(context)
    model = task.train(
        received_model(message),
        patients,
        steps=int(context.run_config["local-steps"]),
        learning_rate=float(context.run_config["learning-rate"]),
    )
    loss, _ = task.test(model, patients)
    arrays = ArrayRecord({name: Array(array) for name, array in model.items()})
    metrics = MetricRecord({"train_loss": loss, "num-examples": len(patients[1])})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Answer with how well the model foresees patients it was not fitted to."""
    _, patients = hospital_patients(context)
    loss, brier = task.test(received_model(message), patients)
    metrics = MetricRecord(
        {"eval_loss": loss, "eval_brier": brier, "num-examples": len(patients[1])}
    )
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def received_model(message: Message) -> task.Model:
    """Return the model that the server sent."""
    arrays = message.content.array_records["arrays"]
    return {name: array.numpy() for name, array in arrays.items()}


def hospital_patients(context: Context) -> tuple[task.Patients, task.Patients]:
    """Return this hospital's patients, to train on and to test on."""
    node = int(context.node_config["partition-id"])
    return task.load_patients(task.HOSPITALS[node])
