"""Runs a program that writes arrays, check_arrays.py <polyak_write_arrays>, and reads them back: .npy files with NumPy,
.safetensors files by their published layout, with struct, json and NumPy alone."""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy


def values(rows, columns):
    return numpy.arange(rows)[:, None] - numpy.arange(columns)[None, :] / 4


def check(array, expected, dtype):
    assert array.dtype == numpy.dtype(dtype), (array.dtype, dtype)
    assert array.shape == expected.shape, (array.shape, expected.shape)
    assert numpy.array_equal(array, expected.astype(dtype)), array


def check_npy(directory):
    scalars = sorted(path.name.split("_")[0] for path in directory.glob("*_c.npy"))
    assert {"float16", "float32", "float64"} <= set(scalars), scalars
    for scalar in scalars:
        dtype = numpy.longdouble if scalar == "float128" else scalar
        load = lambda what: numpy.load(directory / f"{scalar}_{what}.npy", allow_pickle=False)
        check(load("fortran"), values(30, 40), dtype)
        assert load("fortran").flags.f_contiguous and not load("fortran").flags.c_contiguous
        check(load("c"), values(30, 40), dtype)
        assert load("c").flags.c_contiguous and not load("c").flags.f_contiguous
        check(load("vector"), values(30, 1).ravel(), dtype)
        check(load("column"), values(30, 1), dtype)
        check(load("empty"), values(0, 40), dtype)


def once(pairs):
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), names
    return dict(pairs)


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    assert length <= 100_000_000 and length % 8 == 0
    text = data[8 : 8 + length]
    assert text.startswith(b"{")
    header = json.loads(text.decode("utf-8"), object_pairs_hook=once)
    metadata = header.pop("__metadata__", {})
    scalars = data[8 + length :]
    types = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
    tensors, at = {}, 0
    for name, tensor in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = tensor["data_offsets"]
        assert begin == at, (name, begin, at)
        array = numpy.frombuffer(scalars[begin:end], dtype=types[tensor["dtype"]]).reshape(tensor["shape"])
        if tensor["dtype"] == "BF16":
            array = (array.astype("<u4") << 16).view("<f4")
        tensors[name] = (tensor["dtype"], array)
        at = end
    assert at == len(scalars), (at, len(scalars))
    return metadata, tensors


def check_safetensors(path):
    metadata, tensors = read_safetensors(path)
    assert metadata == {"step": "7"}, metadata
    expected = {
        "columns": ("F32", values(300, 400), "f4"),
        "set.0": ("F64", values(30, 40), "f8"),
        "set.1": ("F64", values(30, 1).ravel(), "f8"),
        "half": ("F16", values(3, 5), "f2"),
        "brain": ("BF16", values(3, 5), "f4"),
        "empty": ("F32", values(0, 40), "f4"),
    }
    assert set(tensors) == set(expected), set(tensors)
    for name, (kind, array, dtype) in expected.items():
        assert tensors[name][0] == kind, (name, tensors[name][0])
        check(tensors[name][1], array, dtype)


def main():
    with tempfile.TemporaryDirectory() as place:
        directory = pathlib.Path(place)
        subprocess.run([sys.argv[1], place], check=True)
        check_npy(directory)
        tensors = directory / "tensors.safetensors"
        if tensors.exists():
            check_safetensors(tensors)
        assert not list(directory.glob("*.tmp"))
        print(f"{len(list(directory.iterdir()))} files read back with NumPy {numpy.__version__}")


main()
