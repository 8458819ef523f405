"""Weights: named arrays that nobody can change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flwr_registry.errors import WeightsFormatError
from flwr_registry.extras import how_to_install

if TYPE_CHECKING:
    import torch

__all__ = ["Weights", "check_tensor_name"]

_MAX_NAME_CHARACTERS = 1024


class Weights(Mapping[str, NDArray[Any]]):
    """The arrays of a model under their names, in their order, as read-only views.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
        Viewed, never copied.
    opaque : bool
        The single one-dimensional uint8 array is a serialized model, such as the JSON
        of XGBoost: its length and values say nothing about an architecture.
    cast_back : mapping of str to str, optional
        Arrays that the arithmetic of a strategy widened, with the dtype to cast them
        back to for use: integers that averaging made floats (the counters of
        BatchNorm), and narrower floats.

    Raises
    ------
    WeightsFormatError
        For a name or a dtype that no weights file can hold.
    """

    __slots__ = ("_arrays", "_cast_back", "_opaque")

    def __init__(
        self,
        arrays: Mapping[str, NDArray[Any]],
        *,
        opaque: bool = False,
        cast_back: Mapping[str, str] | None = None,
    ) -> None:
        self._arrays = {
            check_tensor_name(name): _read_only(name, array)
            for name, array in arrays.items()
        }
        self._opaque = opaque
        self._cast_back = {
            name: dtype for name, dtype in (cast_back or {}).items() if name in arrays
        }

    @classmethod
    def of(cls, source: Any) -> Weights:
        """Take weights from whatever holds them.

        Parameters
        ----------
        source : Weights, mapping of arrays or tensors, or torch module
            Tensors are moved to the CPU; those that are there already are not copied.

        Raises
        ------
        TypeError
            For anything else.
        WeightsFormatError
            For arrays that no weights file can hold.
        """
        if isinstance(source, cls):
            return source
        if not isinstance(source, Mapping) and callable(
            getattr(source, "state_dict", None)
        ):
            source = source.state_dict()
        if not isinstance(source, Mapping):
            raise TypeError(
                f"cannot take weights from a {type(source).__name__}: give a mapping "
                "of names to arrays, a torch module or its state dict"
            )
        return cls({name: _as_array(name, value) for name, value in source.items()})

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        kind = "opaque, " if self._opaque else ""
        return f"<Weights: {kind}{len(self)} arrays, {self.nbytes} bytes>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (self._arrays, self._opaque, self._cast_back)

    @property
    def opaque(self) -> bool:
        """Whether the content is a serialized model rather than tensors."""
        return self._opaque

    @property
    def cast_back(self) -> Mapping[str, str]:
        """Dtypes that arrays had before the arithmetic of a strategy widened them."""
        return MappingProxyType(self._cast_back)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays together."""
        return sum(array.nbytes for array in self._arrays.values())

    def to_torch(self) -> dict[str, torch.Tensor]:
        """Copy into a torch state dict, widened arrays cast back to what they were.

        Raises
        ------
        ImportError
            When torch is not installed.
        """
        try:
            import torch
        except ImportError as error:
            raise ImportError(
                f"torch is not installed: {how_to_install('torch')}"
            ) from error
        return {
            name: torch.from_numpy(_native_copy(array, self._cast_back.get(name)))
            for name, array in self._arrays.items()
        }


def _remade(
    arrays: Mapping[str, NDArray[Any]], opaque: bool, cast_back: Mapping[str, str]
) -> Weights:
    return Weights(arrays, opaque=opaque, cast_back=cast_back)


def check_tensor_name(name: str) -> str:
    """Return `name` when a weights file may hold an array under it.

    Names never become paths here, but other programs make paths of them.

    Raises
    ------
    WeightsFormatError
        For an empty or overlong name, control characters, and path tricks.
    """
    sound = (
        isinstance(name, str)
        and 0 < len(name) <= _MAX_NAME_CHARACTERS
        and name != "__metadata__"
        and not name.startswith(("/", "\\"))
        and ".." not in name.replace("\\", "/").split("/")
        and name.isprintable()
    )
    if not sound:
        raise WeightsFormatError(f"{str(name)[:80]!r} cannot name an array")
    return name


def _read_only(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.hasobject or array.dtype.names is not None:
        raise WeightsFormatError(
            f"array {name!r} has dtype {array.dtype}, which only pickle could store"
        )
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def _as_array(name: str, value: Any) -> NDArray[Any]:
    if callable(getattr(value, "detach", None)):
        try:
            value = value.detach().cpu().numpy()
        except TypeError as error:
            raise WeightsFormatError(
                f"tensor {name!r} has dtype {value.dtype}, which numpy lacks: convert "
                "it first, for example with .float()"
            ) from error
    return np.asarray(value)


def _native_copy(array: NDArray[Any], dtype: str | None) -> NDArray[Any]:
    wanted = np.dtype(dtype) if dtype else array.dtype.newbyteorder("=")
    return np.array(array, dtype=wanted, order="C")
