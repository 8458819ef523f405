"""The random generators that training draws from, out and in again.

Python's decides which nodes a strategy samples, numpy's global one the noise of
differential privacy, torch's whatever a strategy does with tensors. Torch is asked only
where the user's code has imported it.
"""

from __future__ import annotations

import base64
import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from flwr_registry.errors import CheckpointError
from flwr_registry.shown_text import OneLineLogger

__all__ = ["capture_random_state", "restore_random_state"]

_LOGGER = OneLineLogger("flwr")
_LEGACY_BITS = "MT19937"


def capture_random_state() -> dict[str, Any]:
    """Take the state of the global generators, as JSON can hold it.

    Those of python and numpy, and of torch on the CPU and on each GPU in use.
    """
    version, words, gauss = random.getstate()
    state: dict[str, Any] = {
        "python": [version, list(words), gauss],
        "numpy": _numpy_state(),
    }
    torch = _imported_torch()
    if torch is not None:
        state["torch"] = _text_of(torch.get_rng_state())
        if _uses_cuda(torch):
            state["torch_cuda"] = [_text_of(s) for s in torch.cuda.get_rng_state_all()]
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Put back what `capture_random_state` gave.

    Raises
    ------
    CheckpointError
        When it is no such state, or that of another generator; nothing changed then.
    """
    undo = [_undo_python(), _undo_numpy(), *_undo_torch()]
    try:
        _restore_python(state)
        _restore_numpy(state)
        _restore_torch(state)
    except Exception as error:
        # Of what somebody else wrote generators raise errors of many kinds.
        for put_back in undo:
            put_back()
        raise CheckpointError(
            "the checkpoint's random state does not fit this python, numpy or torch"
        ) from error


def _undo_python() -> Callable[[], None]:
    before = random.getstate()
    return lambda: random.setstate(before)


def _undo_numpy() -> Callable[[], None]:
    before: Any = np.random.get_state(legacy=False)
    return lambda: np.random.set_state(before)


def _undo_torch() -> list[Callable[[], None]]:
    torch = _imported_torch()
    if torch is None:
        return []
    before = torch.get_rng_state()
    undo: list[Callable[[], None]] = [lambda: torch.set_rng_state(before)]
    if _uses_cuda(torch):
        on_gpus = torch.cuda.get_rng_state_all()
        undo.append(lambda: torch.cuda.set_rng_state_all(on_gpus))
    return undo


def _restore_python(state: dict[str, Any]) -> None:
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))


def _numpy_state() -> Any:
    state: Any = np.random.get_state(legacy=False)
    if state["bit_generator"] != _LEGACY_BITS:
        # Chosen by np.random.set_bit_generator.
        return _plain(state)
    bits = state["state"]
    return [
        _LEGACY_BITS,
        bits["key"].tolist(),
        bits["pos"],
        state["has_gauss"],
        state["gauss"],
    ]


def _restore_numpy(state: dict[str, Any]) -> None:
    saved = state["numpy"]
    if isinstance(saved, dict):
        wanted = _unplain(saved)
        own: Any = np.random.get_state(legacy=False)
        if wanted["bit_generator"] != own["bit_generator"]:
            raise ValueError("numpy's global generator is another one")
        np.random.set_state(wanted)
    else:
        name, keys, position, has_gauss, cached = saved
        words = np.array(keys, dtype=np.uint32)
        np.random.set_state((name, words, position, has_gauss, cached))


def _restore_torch(state: dict[str, Any]) -> None:
    torch, saved = _imported_torch(), state.get("torch")
    if saved is None:
        return
    if torch is None:
        _LOGGER.warning(
            "registry: the checkpoint holds the state of torch's random generator, but "
            "torch is not imported: import it before the run begins, or what it draws "
            "will differ"
        )
        return
    torch.set_rng_state(_tensor_of(torch, saved))
    on_gpus = state.get("torch_cuda", [])
    if on_gpus and torch.cuda.is_available():
        # More or fewer GPUs than before are no reason to stop.
        for device in range(min(len(on_gpus), torch.cuda.device_count())):
            torch.cuda.set_rng_state(_tensor_of(torch, on_gpus[device]), device)


def _imported_torch() -> Any:
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "get_rng_state") else None


def _uses_cuda(torch: Any) -> bool:
    return bool(torch.cuda.is_available() and torch.cuda.is_initialized())


def _text_of(tensor: Any) -> str:
    return base64.b64encode(tensor.numpy().tobytes()).decode()


def _tensor_of(torch: Any, text: str) -> Any:
    content = base64.b64decode(text, validate=True)
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def _plain(state: Any) -> Any:
    if isinstance(state, dict):
        return {name: _plain(part) for name, part in state.items()}
    if isinstance(state, np.ndarray):
        return {"dtype": state.dtype.str, "values": state.tolist()}
    return state.item() if isinstance(state, np.generic) else state


def _unplain(state: Any) -> Any:
    if not isinstance(state, dict):
        return state
    if state.keys() == {"dtype", "values"}:
        dtype = np.dtype(state["dtype"])
        if dtype.kind not in "iuf":
            raise ValueError(f"{dtype} is no dtype of a generator's state")
        return np.array(state["values"], dtype=dtype)
    return {name: _unplain(part) for name, part in state.items()}
