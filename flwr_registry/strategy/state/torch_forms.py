"""Torch's tensors, generators and modes as arrays and text, and back.

Torch is never imported: who holds something of torch has imported it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_registry.errors import CheckpointError

__all__ = [
    "array_of",
    "fill_tensor",
    "generator_from",
    "is_module",
    "is_plain_tensor",
    "is_script",
    "is_tensor",
    "is_torch_generator",
    "load_modes",
    "memory_of",
    "modes_of",
    "tensor_facts",
    "tensor_from",
    "undo_for_generator",
    "undo_for_tensor",
]


def _torch() -> Any:
    return sys.modules.get("torch")


def _is_instance(value: Any, *path: str) -> bool:
    kind = _torch()
    for name in path:
        kind = getattr(kind, name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor of any kind."""
    return _is_instance(value, "Tensor")


def is_module(value: Any) -> bool:
    """Whether a value is a torch module."""
    return _is_instance(value, "nn", "Module")


def is_script(value: Any) -> bool:
    """Whether a module was compiled, so that its state lies in no attribute."""
    return _is_instance(value, "jit", "ScriptModule")


def is_torch_generator(value: Any) -> bool:
    """Whether a value is one of torch's random generators."""
    return _is_instance(value, "Generator")


def is_plain_tensor(value: Any) -> bool:
    """Whether a tensor is dense memory that can be read, without a class of its own."""
    if not is_tensor(value):
        return False
    torch = _torch()
    return (
        type(value) in (torch.Tensor, torch.nn.Parameter)
        and value.layout is torch.strided
        and not value.is_quantized
        and value.device.type != "meta"
    )


def memory_of(tensor: Any) -> Hashable:
    """Return what two tensors have in common that are the same memory seen alike."""
    place = (str(tensor.device), tensor.data_ptr(), str(tensor.dtype))
    return *place, tuple(tensor.shape), tensor.stride()


def array_of(tensor: Any) -> NDArray[Any] | None:
    """Return a plain tensor as an array that stands still; None where none can.

    What numpy has no dtype for, such as bfloat16, comes as its bytes.
    """
    seen = tensor.detach().resolve_conj().resolve_neg().cpu()
    try:
        return np.array(seen.numpy(), order="C")
    except (TypeError, RuntimeError):
        pass
    try:
        flat = _evenly_laid(seen.reshape(-1)).view(_torch().uint8)
        return np.array(flat.numpy())
    except (TypeError, RuntimeError):
        return None


def _evenly_laid(flat: Any) -> Any:
    """Return a flat tensor that can be viewed as another dtype.

    One of a single value or none may have any stride.
    """
    if flat.stride(-1) == 1:
        return flat
    return _torch().empty(flat.numel(), dtype=flat.dtype).copy_(flat)


def tensor_facts(tensor: Any) -> dict[str, Any]:
    """Return what a tensor is beside its values, as JSON can hold it."""
    facts: dict[str, Any] = {
        "$dtype": _name_of(tensor.dtype),
        "$shape": list(tensor.shape),
    }
    if tensor.requires_grad and tensor.is_leaf:
        facts["$grad"] = True
    if isinstance(tensor, _torch().nn.Parameter):
        facts["$parameter"] = True
    if tensor.device.type != "cpu":
        facts["$device"] = str(tensor.device)
    return facts


def tensor_from(array: NDArray[Any], facts: dict[str, Any], present: Any) -> Any:
    """Make a tensor, or give the values to the one that is there when it fits.

    Raises
    ------
    CheckpointError
        Without torch, or for facts that this torch does not know.
    """
    torch = _torch()
    dtype = getattr(torch, str(facts["$dtype"]), None)
    if torch is None or not isinstance(dtype, torch.dtype):
        raise CheckpointError(
            f"the checkpoint holds a torch tensor ({facts['$dtype']}): import a torch "
            "that has it before the run begins"
        )
    shape = tuple(int(size) for size in facts["$shape"])
    values = torch.from_numpy(array)
    if values.dtype is not dtype:
        values = _evenly_laid(values.reshape(-1).view(torch.uint8)).view(dtype)
    values = values.reshape(shape)
    if is_plain_tensor(present) and (present.shape, present.dtype) == (shape, dtype):
        fill_tensor(present, values)
        return present
    values = _on_device(values, facts.get("$device"))
    needs_grad = bool(facts.get("$grad"))
    if facts.get("$parameter"):
        return torch.nn.Parameter(values, requires_grad=needs_grad)
    return values.requires_grad_(needs_grad) if needs_grad else values


def fill_tensor(tensor: Any, values: Any) -> None:
    """Give a tensor the values of another one, in place."""
    torch = _torch()
    # What was made under inference mode may only be changed under it.
    with torch.inference_mode() if tensor.is_inference() else torch.no_grad():
        if (tensor.shape, tensor.dtype) == (values.shape, values.dtype):
            tensor.detach().copy_(values)
        else:
            tensor.data = values


def undo_for_tensor(tensor: Any) -> Callable[[], None] | None:
    """Return what gives a tensor the values back that it has now."""
    torch = _torch()
    if tensor.device.type == "meta" or type(tensor).__name__.startswith("Uninit"):
        return None
    with torch.no_grad():
        saved = tensor.detach().clone()
    needs_grad, grad = tensor.requires_grad, tensor.grad if tensor.is_leaf else None

    def undo() -> None:
        fill_tensor(tensor, saved)
        if tensor.is_leaf:
            tensor.requires_grad_(needs_grad)
            tensor.grad = grad

    return undo


def undo_for_generator(generator: Any) -> Callable[[], None]:
    """Return what sets a generator back to where it is now."""
    state = generator.get_state()
    return lambda: generator.set_state(state)


def generator_from(state: Any, present: Any) -> Any:
    """Give a state to a generator, or to a new one on the CPU.

    Raises
    ------
    CheckpointError
        Without torch.
    """
    torch = _torch()
    if torch is None:
        raise CheckpointError(
            "the checkpoint holds a generator of torch: import torch before the run "
            "begins"
        )
    generator = present if is_torch_generator(present) else torch.Generator()
    generator.set_state(state)
    return generator


def modes_of(module: Any) -> dict[str, list[str]]:
    """Return which parts of a module evaluate, and which parameters are frozen."""
    parts, parameters = module.named_modules(), module.named_parameters()
    return {
        "evaluating": [name for name, part in parts if not part.training],
        "frozen": [name for name, each in parameters if not each.requires_grad],
    }


def load_modes(module: Any, modes: dict[str, list[str]]) -> None:
    """Put back what `modes_of` gave."""
    evaluating, frozen = set(modes["evaluating"]), set(modes["frozen"])
    for name, part in module.named_modules():
        part.training = name not in evaluating
    for name, each in module.named_parameters():
        if each.requires_grad is (name in frozen):
            each.requires_grad_(name not in frozen)


def _name_of(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _on_device(values: Any, device: str | None) -> Any:
    """Move values to where they were, if that is there."""
    if device is None or not _torch().cuda.is_available():
        return values
    try:
        return values.to(device)
    except (RuntimeError, AssertionError):
        return values
