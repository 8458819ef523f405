"""Modules that the tests serve; found by name, as a user's are."""

import os
import signal
import time

import numpy as np
import torch
from torch import nn


class Net(nn.Module):
    """Scores of three classes for four features."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3, bias=bias)
        self.drop = nn.Dropout(0.5)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.drop(self.layer(features))


class TwoInputs(nn.Module):
    """Two inputs by name, two outputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(
        self, left: torch.Tensor, right: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        return {"sum": self.layer(left + right), "rest": left - right}


class Counts(nn.Module):
    """A batch norm, whose counter averaging makes a float of."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.norm(features)


def constant_net(value: float) -> Net:
    """A module whose every score is `value`."""
    net = Net()
    with torch.no_grad():
        net.layer.weight.zero_()
        net.layer.bias.fill_(value)
    return net


def not_a_module() -> str:
    return "text"


def echo(weights, inputs):
    """Predict the inputs themselves."""
    return inputs


def linear(weights, inputs):
    """Predict with numpy alone."""
    return np.asarray(inputs) @ weights["w"]


def as_the_bias_says(weights, inputs):
    """Predict with a bias of 1, and end or hang by that of other versions."""
    ways = {
        2: lambda: os.kill(os.getpid(), signal.SIGSEGV),
        3: lambda: os._exit(0),
        4: lambda: exit(3),
        6: lambda: time.sleep(600),
    }
    print("what a module prints is no answer")
    way = ways.get(int(weights["layer.bias"][0]))
    if way is not None:
        way()
    return inputs
