"""Runs a program that writes arrays, check_arrays.py <polyak_write_arrays>, and reads them back: .npy files with NumPy,
.safetensors files by their published layout, with struct, json and NumPy alone, and with the package safetensors where
it is installed. Then it writes such files in turn, for the program to load."""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy

try:
    import safetensors
    import safetensors.numpy
except ImportError:
    safetensors = None


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


def check_texts(metadata, expected):
    """polyak's own texts, and those that were saved."""
    metadata = dict(metadata)
    assert metadata.pop("polyak.version") == "1"
    checksum = metadata.pop("polyak.checksum")
    assert len(checksum) == 16 and set(checksum) <= set("0123456789abcdef"), checksum
    missing = {name: text for name, text in expected.items() if metadata.get(name) != text}
    assert not missing, (missing, metadata)
    return metadata


def check_with_package(path, metadata, tensors):
    """The package finds the same; it has no bfloat16 for NumPy."""
    if not safetensors:
        return
    with safetensors.safe_open(path, "numpy") as file:
        assert file.metadata() == metadata, file.metadata()
        assert set(file.keys()) == set(tensors), file.keys()
        for name, (kind, array) in tensors.items():
            if kind != "BF16":
                check(file.get_tensor(name), array, array.dtype)
    if all(kind != "BF16" for kind, _ in tensors.values()):
        assert set(safetensors.numpy.load_file(path)) == set(tensors)


def check_safetensors(path):
    metadata, tensors = read_safetensors(path)
    assert check_texts(metadata, {"step": "7"}) == {"step": "7"}, metadata
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
    check_with_package(path, metadata, tensors)


def check_run(path):
    """Three steps of momentum 0.5, learning rate 0.25 and gradients -1, -2, -3 from 0 on, and their averages."""
    metadata, tensors = read_safetensors(path)
    check_texts(metadata, {"epoch": "3", "note": 'ü "quoted"', "opt.averager.1.decay": "0.5"})
    theta = velocity = mean = ema = weight = 0.0
    for t in (1, 2, 3):
        velocity = 0.5 * velocity - t
        theta -= 0.25 * velocity
        mean += (theta - mean) / t
        weight = 0.5 * weight + 1  # of an average whose start is not biased
        ema += (theta - ema) / weight
    expected = {"weights": theta, "opt.averager.0.average": mean, "opt.averager.1.average": ema}
    for name, x in expected.items():
        assert name in tensors, (name, set(tensors))
        assert tensors[name][0] == "F64" and tensors[name][1].shape == (3,), tensors[name]
        assert numpy.allclose(tensors[name][1], x, rtol=1e-12, atol=0), (name, tensors[name], x)
    check_with_package(path, metadata, tensors)


def check_loading(program, directory):
    """Files that others write, by the layout and by the package, as the program loads them."""
    array = values(3, 4).astype("<f4")
    entry = lambda shape, begin, end: {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    header = {"w": entry([3, 4], 4, 52), "b": entry([], 0, 4), "__metadata__": {"format": "np"}}
    text = json.dumps(header, indent=1).encode()
    path = directory / "layout.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 4 + array.tobytes())
    subprocess.run([program, path, "w"], check=True)
    assert subprocess.run([program, path, "b"], stderr=subprocess.DEVNULL).returncode != 0
    if safetensors:
        path = directory / "package.safetensors"
        safetensors.numpy.save_file({"w": array, "half": array.astype("f2")}, path, metadata={"format": "np"})
        subprocess.run([program, path, "w"], check=True)


def main():
    with tempfile.TemporaryDirectory() as place:
        program, directory = sys.argv[1], pathlib.Path(place)
        subprocess.run([program, place], check=True)
        check_npy(directory)
        check_safetensors(directory / "tensors.safetensors")
        check_run(directory / "run.safetensors")
        assert not list(directory.glob("*.tmp")) and not list(directory.glob(".*"))
        print(f"{len(list(directory.iterdir()))} files read back with NumPy {numpy.__version__}")
        check_loading(program, directory)
        print(f"with the package safetensors too: {bool(safetensors)}")


main()
