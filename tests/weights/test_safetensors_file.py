"""The weights file: exact, readable by others, closed to hostile bytes."""

import json
import tracemalloc

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flwr_registry.errors import WeightsFormatError
from flwr_registry.weights import Weights, decode, encode

NAMES = st.text("abcdefgh.0123456789_/", min_size=1, max_size=12).filter(
    lambda name: not name.startswith("/") and ".." not in name.split("/")
)
DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?"),
    hnp.complex_number_dtypes(endianness="?"),
    hnp.byte_string_dtypes(min_len=1, max_len=4),
    hnp.datetime64_dtypes(endianness="="),
)
ARRAYS = DTYPES.flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=5)
    )
)
LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda array: np.repeat(array, 2, 0)[::2] if array.ndim else array,
}


def file_of(weights) -> bytes:
    return b"".join(bytes(piece) for piece in encode(weights))


def file_with(header, data=b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(begin=0, end=4, dtype="F32", shape=(1,)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


@given(st.dictionaries(NAMES, ARRAYS, max_size=5), st.sampled_from(sorted(LAYOUTS)))
def test_everything_comes_back_exactly(arrays, layout):
    arrays = {
        name: LAYOUTS[layout](array).reshape(array.shape)
        for name, array in arrays.items()
    }
    weights = Weights(arrays)
    content = encode(weights)
    data = file_of(weights)
    assert content.size_bytes == len(data)
    back = decode(bytearray(data))
    assert list(back) == list(weights)
    for name, array in weights.items():
        assert back[name].dtype == array.dtype
        assert back[name].shape == array.shape
        assert back[name].tobytes() == array.tobytes()
        if array.flags.f_contiguous:
            assert back[name].flags.f_contiguous
    assert file_of(back) == data


def test_other_libraries_read_it():
    arrays = {
        "flag": np.array([True, False, True]),
        "half": np.arange(3, dtype=np.float16),
        "weight": np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32),
        "count": np.array(7),
    }
    data = file_of(Weights(arrays))
    for name, array in safetensors.numpy.load(data).items():
        np.testing.assert_array_equal(array, arrays[name])
    assert safetensors.torch.load(data)["weight"].shape == (3, 5)


def test_it_reads_what_other_libraries_write():
    arrays = {"b": np.arange(3, dtype=np.float16), "a": np.ones((2, 2))}
    back = decode(safetensors.numpy.save(arrays))
    assert set(back) == {"a", "b"}
    np.testing.assert_array_equal(back["b"], arrays["b"])


def test_arrays_are_aligned_and_share_the_buffer():
    data = bytearray(file_of(Weights({"a": np.zeros(3, np.uint8), "b": np.ones(2)})))
    back = decode(data)
    assert all(array.flags.aligned for array in back.values())
    assert np.shares_memory(back["b"], np.frombuffer(data, np.uint8))


def test_opaque_and_cast_back_are_kept():
    opaque = decode(file_of(Weights({"0": np.zeros(3, np.uint8)}, opaque=True)))
    assert opaque.opaque
    noted = decode(file_of(Weights({"n": np.array(2.0)}, cast_back={"n": "int64"})))
    assert dict(noted.cast_back) == {"n": "int64"}
    assert not noted.opaque


def test_writing_takes_no_copy_of_the_model():
    weights = Weights(
        {"w": np.zeros(8 * 2**20), "f": np.zeros((2048, 2048), order="F")}
    )
    tracemalloc.start()
    for piece in encode(weights):
        assert len(piece) <= 4 * 2**20
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20


HOSTILE = {
    "empty": b"",
    "short": b"\x01\x00\x00",
    "header longer than the file": (2**40).to_bytes(8, "little") + b"{}",
    "huge header length": (2**64 - 1).to_bytes(8, "little") + b"{}",
    "no JSON": file_with(b"not json"),
    "no UTF-8": file_with(b"\xff\xfe{}"),
    "no object": file_with([1, 2]),
    "nested without end": file_with(b'{"a":' + b"[" * 100_000),
    "named twice": file_with(b'{"a":1,"a":2}'),
    "entry is no object": file_with({"a": 3}),
    "entry lacks offsets": file_with({"a": {"dtype": "F32", "shape": [1]}}),
    "negative offset": file_with({"a": entry(-4, 0)}, b"1234"),
    "reversed offsets": file_with({"a": entry(4, 0)}, b"1234"),
    "float offsets": file_with({"a": entry(0, 4.0)}, b"1234"),
    "boolean shape": file_with({"a": entry(shape=(True,))}, b"1234"),
    "negative shape": file_with({"a": entry(shape=(-1, -1))}, b"1234"),
    "overflowing shape": file_with({"a": entry(shape=(2**62, 8))}, b"1234"),
    "too many dimensions": file_with({"a": entry(shape=(1,) * 33)}, b"1234"),
    "shape does not fill": file_with({"a": entry(shape=(2,))}, b"1234"),
    "overlap": file_with({"a": entry(0, 4), "b": entry(0, 4)}, b"1234"),
    "gap": file_with({"a": entry(0, 4), "b": entry(8, 12)}, b"1" * 12),
    "past the end": file_with({"a": entry(0, 4)}, b"12"),
    "bytes left over": file_with({"a": entry(0, 4)}, b"12345"),
    "unknown dtype": file_with({"a": entry(dtype="F13")}, b"1234"),
    "path in a name": file_with({"../../etc/passwd": entry()}, b"1234"),
    "control character in a name": file_with({"a\nb": entry()}, b"1234"),
    "metadata is no text": file_with({"__metadata__": {"a": 1}, "a": entry()}, b"1234"),
    "layout is no JSON": file_with(
        {"__metadata__": {"flwr_registry.layout": "{"}, "a": entry()}, b"1234"
    ),
    "layout asks for objects": file_with(
        {
            "__metadata__": {"flwr_registry.layout": '{"a":{"dtype":"O","shape":[1]}}'},
            "a": entry(),
        },
        b"1234",
    ),
    "layout does not fit": file_with(
        {
            "__metadata__": {
                "flwr_registry.layout": '{"a":{"dtype":"f8","shape":[9]}}'
            },
            "a": entry(),
        },
        b"1234",
    ),
    "cast back to objects": file_with(
        {"__metadata__": {"flwr_registry.cast_back": '{"a":"O"}'}, "a": entry()},
        b"1234",
    ),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_within_little_memory(data):
    tracemalloc.start()
    with pytest.raises(WeightsFormatError) as caught:
        decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 2**20
    assert len(str(caught.value)) < 500


@given(st.data())
def test_a_damaged_file_gives_an_error_or_other_values_but_nothing_worse(data):
    sound = bytearray(file_of(Weights({"a": np.arange(4.0), "b": np.ones(3)})))
    position = data.draw(st.integers(0, len(sound) - 1))
    sound[position] ^= 1 << data.draw(st.integers(0, 7))
    try:
        back = decode(sound)
    except WeightsFormatError:
        return
    assert len(back) == 2


@given(st.integers(0, 200))
def test_a_truncated_file_is_refused(length):
    sound = file_of(Weights({"a": np.arange(40.0)}))
    with pytest.raises(WeightsFormatError):
        decode(sound[:length])
