"""The network, the digits, and how one is taught and tested on the other."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

HELD_OUT_EVERY = 5
# What the guides say of these rounds is so in every run.
SEED = 1


class Net(nn.Module):
    """A small network that reads a digit from an image of 8 by 8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(64, 32)
        self.output = nn.Linear(32, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return one score a digit."""
        scores: torch.Tensor = self.output(torch.relu(self.hidden(images)))
        return scores


def load_digits_tensors() -> tuple[torch.Tensor, torch.Tensor]:
    """Return all 1797 images, their pixels between 0 and 1, and their digits."""
    digits = load_digits()
    images = torch.tensor(digits.data / 16, dtype=torch.float32)
    return images, torch.tensor(digits.target)


def load_node_data(node: int, num_nodes: int) -> tuple[TensorDataset, TensorDataset]:
    """Return the digits of one node, to train on and to test on."""
    images, labels = load_digits_tensors()
    shared = torch.arange(len(labels)) % HELD_OUT_EVERY != 0
    images, labels = images[shared][node::num_nodes], labels[shared][node::num_nodes]
    tested = torch.arange(len(labels)) % HELD_OUT_EVERY == 0
    return (
        TensorDataset(images[~tested], labels[~tested]),
        TensorDataset(images[tested], labels[tested]),
    )


def load_held_out_data() -> TensorDataset:
    """Return the digits that no node has ever seen."""
    images, labels = load_digits_tensors()
    return TensorDataset(images[::HELD_OUT_EVERY], labels[::HELD_OUT_EVERY])


def train(
    net: Net, data: TensorDataset, epochs: int, learning_rate: float, batch_size: int
) -> float:
    """Teach the network, and return its mean loss over the last epoch."""
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    order = torch.Generator().manual_seed(SEED)
    batches = DataLoader(data, batch_size=batch_size, shuffle=True, generator=order)
    net.train()
    for _ in range(epochs):
        total = 0.0
        for images, labels in batches:
            optimizer.zero_grad()
            loss = cross_entropy(net(images), labels)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
    return total / len(data)


@torch.inference_mode()
def test(net: Net, data: TensorDataset) -> tuple[float, float]:
    """Return the mean loss and the share of digits that were read correctly."""
    images, labels = data.tensors
    net.eval()
    scores = net(images)
    accuracy = (scores.argmax(dim=1) == labels).float().mean().item()
    return cross_entropy(scores, labels).item(), accuracy
