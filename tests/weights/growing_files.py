"""Files that claim far more than they hold, each a few kilobytes long."""

import io
import json
import zipfile

import numpy as np
import torch

LARGE = 400_000_000
"""Bytes that each of them would make, at least."""


def safetensors(header, data=b"", **metadata):
    said = {**header, "__metadata__": metadata} if metadata else header
    text = json.dumps(said).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(shape, *, dtype="U8", end=None):
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": [0, end or 0]}}


def noted(**note):
    """Give a safetensors file of 1000 bytes with a note of ours about its layout."""
    metadata = {"flwr_registry.layout": json.dumps({"w": note})}
    return safetensors(entry([1000], end=1000), bytes(1000), **metadata)


def cast_back(dtype):
    metadata = {"flwr_registry.cast_back": json.dumps({"w": dtype})}
    return safetensors(entry([1000], end=1000), bytes(1000), **metadata)


SAFETENSORS = {
    "a longer dtype": noted(dtype="<U100000"),
    "a longer dtype in another order": noted(dtype=">U100000", order="F"),
    "a longer number": noted(dtype="<c16"),
    "another shape": noted(dtype="<f8", shape=[1000]),
    "a dtype within a dtype": noted(dtype="(1000,1000)f4"),
    "a dtype that is no Python": noted(dtype="(1 1)f4"),
    "items without bytes": noted(dtype="<U0", shape=[10**9]),
    "a shape beyond memory": noted(dtype="<f8", shape=[2**62, 0]),
    "a list as a note": noted(dtype=["<f4"], shape=[250]),
    "a note that is no object": safetensors(
        entry([4], end=4), bytes(4), **{"flwr_registry.layout": '{"w": [1]}'}
    ),
    "cast back to texts": cast_back("<U100000"),
    "cast back to a number of another kind": cast_back("<c16"),
    "cast back to a list": cast_back(["<f4"]),
    "nothing, of a shape beyond memory": safetensors(entry([2**62, 2**62, 0])),
    "nothing, of a shape of 4000 digits": safetensors(entry([10**3999, 0])),
    "nothing, of 33 dimensions": safetensors(entry([0] * 33)),
    "more than the file has": safetensors(entry([LARGE], end=LARGE), bytes(8)),
    "a negative shape": safetensors(entry([-1, -8], end=8), bytes(8)),
    "a header longer than the file": (2**62).to_bytes(8, "little") + b"{}",
}


def npz(shape, *, size=8, compression=zipfile.ZIP_STORED, names=("w",)):
    """Give an archive whose entries claim a shape."""
    array = io.BytesIO()
    described = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(array, described)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name in names:
            archive.writestr(f"{name}.npy", array.getvalue() + bytes(size))
    return file.getvalue()


def overlapping():
    """Give an archive whose directory names the same bytes a hundred times."""
    whole = npz((1000,), size=8000)
    start = whole.index(b"PK\x01\x02")
    end = whole.index(b"PK\x05\x06")
    directory = b"".join(
        whole[start:end].replace(b"w.npy", f"{n:05}".encode()) for n in range(100)
    )
    tail = bytearray(whole[end:])
    tail[8:12] = (100).to_bytes(2, "little") * 2
    tail[12:16] = len(directory).to_bytes(4, "little")
    return whole[:start] + directory + bytes(tail)


NPZ = {
    "deflated zeros": npz((10**7,), size=8 * 10**7, compression=zipfile.ZIP_DEFLATED),
    "packed by a method that takes memory": npz((1,), compression=zipfile.ZIP_LZMA),
    "a shape that is not there": npz((LARGE,)),
    "a shape beyond memory": npz((2**62, 2**62)),
    "a shape with a negative length": npz((-1, -1)),
    "the same bytes again and again": overlapping(),
}


def torch_file(state, **how):
    file = io.BytesIO()
    torch.save(state, file, **how)
    return file.getvalue()


def deflated(data):
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as stored,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in stored.namelist():
            archive.writestr(name, stored.read(name))
    return file.getvalue()


def long_storage():
    """Give a file of the older form that claims a storage of 2**40 numbers."""
    data = torch_file({"w": torch.ones(7777)}, _use_new_zipfile_serialization=False)
    claim = (7777).to_bytes(2, "little")
    at = data.index(b"M" + claim)
    long = b"\x8a\x06" + (2**40).to_bytes(6, "little")
    return data[:at] + long + data[at + 3 : 600]


TORCH = {
    "expanded": torch_file({"w": torch.zeros(1).expand(LARGE)}),
    "shared a thousand times": torch_file(
        dict.fromkeys(map(str, range(10_000)), torch.zeros(10_000))
    ),
    "sparse": torch_file(
        {
            "w": torch.sparse_coo_tensor(
                torch.zeros(2, 1).long(),
                torch.ones(1),
                (2**30, 2**30),
                check_invariants=True,
            )
        }
    ),
    "without memory": torch_file({"w": torch.empty(2**40, device="meta")}),
    "a storage that is not there": long_storage(),
}
PACKED = {"deflated torch": deflated(torch_file({"w": torch.zeros(10**7)}))}
