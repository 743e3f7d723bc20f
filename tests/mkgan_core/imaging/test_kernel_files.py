"""Files that should hold kernels: what is refused, in one line that names the file."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat
from scipy.sparse import csc_array

from mkgan_core.errors import KernelError
from mkgan_core.imaging import kernel_files, mat_files


def mat(name: str, value: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    savemat(out, {"other": np.zeros((300, 300)), name: value}, **options)
    return out.getvalue()


def npy(value: np.ndarray, **options: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, value, **options)
    return out.getvalue()


def cells(*values: Any) -> np.ndarray:
    found = np.empty(len(values), object)
    found[:] = values
    return found


NO_KERNELS = {
    "a cell": cells(np.eye(3), np.eye(5)),
    "a struct": {"a": np.eye(3)},
    "a sparse matrix": csc_array(np.eye(5)),
    "a text": "kernel",
    "complex numbers": np.eye(5) * (1 + 2j),
    "three dimensions": np.ones((3, 3, 3)),
    "a rectangle": np.ones((3, 5)),
    "nothing": np.zeros((0, 0)),
    "a sum of zero": np.array([[1, -1], [-1, 1.0]]),
    "only negative values": -np.eye(5),
    "what is not finite": np.full((3, 3), np.inf),
    "values that overflow": np.array([[1e305, -1e305], [1e-8, 0]]),
    "too many values": np.ones((1001, 1001)),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("what", NO_KERNELS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_variable_that_is_no_kernel(what: str, packed: bool) -> None:
    data = mat("Kernel", NO_KERNELS[what], do_compression=packed)
    with pytest.raises(KernelError, match=r"kernel_1\.mat"):
        kernel_files.decode(data, "kernel_1.mat")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(npy(np.array([[{}]], object), allow_pickle=True), id="objects"),
        pytest.param(npy(np.array([["a"]])), id="texts"),
        pytest.param(npy(np.zeros((3, 3), [("a", "i4")])), id="records"),
        pytest.param(npy(np.zeros((3, 3), "M8[s]")), id="dates"),
        pytest.param(npy(np.eye(3) * 1j), id="complex numbers"),
        pytest.param(npy(np.array(1.0)), id="a number"),
        pytest.param(npy(np.eye(3)).replace(b"'descr': '<f8'", b"'descr':  array"), id="a head that is no head"),
        pytest.param(npy(np.eye(3))[:90], id="a part"),
        pytest.param(b"PK\x03\x04", id="an archive"),
    ],
)
def test_an_array_file_that_is_no_kernel(data: bytes) -> None:
    with pytest.raises(KernelError, match=r"kernel\.npy") as caught:
        kernel_files.decode(data, "kernel.npy")
    assert " object at 0x" not in str(caught.value)


def test_archives_of_arrays_are_no_kernels() -> None:
    out = io.BytesIO()
    np.savez(out, a=np.eye(3))
    with pytest.raises(KernelError, match=r"kernel\.npy"):
        kernel_files.decode(out.getvalue(), "kernel.npy")


@pytest.mark.parametrize("value", [np.eye(11), np.eye(4, dtype=np.uint8), np.eye(3) > 0, np.eye(201), np.ones((1, 1))])
@pytest.mark.parametrize("packed", [False, True])
def test_kernels_of_every_kind_of_number(value: np.ndarray, packed: bool) -> None:
    found = kernel_files.decode(mat("Kernel", value, do_compression=packed), "kernel_1.mat")
    assert found.dtype == np.float64
    assert np.allclose(found, value / value.sum())


def test_a_variable_by_another_name_is_told() -> None:
    with pytest.raises(KernelError, match=r"kernel_1\.mat.*'Kernel'.*'blur'"):
        kernel_files.decode(mat("blur", np.eye(3)), "kernel_1.mat")


def test_collections() -> None:
    blurs = [np.eye(5), np.ones((7, 7))]
    for data in (mat("kernels", cells(*blurs)), mat("kernels", np.stack([blurs[0]] * 2, axis=2))):
        found = kernel_files.decode_collection(data, "many.mat")
        assert len(found) == 2
        assert np.allclose(found[0], np.eye(5) / 5)
    for bad in (cells(np.eye(5), "x"), cells(np.eye(5), {"a": 1}), cells(), {"a": 1}, np.eye(99), np.eye(3) * 1j):
        with pytest.raises(KernelError, match=r"many\.mat"):
            kernel_files.decode_collection(mat("kernels", bad), "many.mat")


def test_a_few_bytes_that_unpack_to_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mat_files, "MAX_BYTES", 10_000)
    data = mat("Kernel", np.zeros((150, 150)), do_compression=True)
    assert len(data) < 5000
    with pytest.raises(KernelError, match=r"kernel_1\.mat"):
        kernel_files.decode(data, "kernel_1.mat")


@pytest.mark.parametrize("packed", [False, True])
def test_our_reader_reads_what_scipy_reads(packed: bool) -> None:
    out = io.BytesIO()
    kinds = ("f4", "f8", "i1", "u2", "i8")
    savemat(out, {f"v{kind}": np.arange(6).reshape(2, 3).astype(kind) for kind in kinds}, do_compression=packed)
    theirs = loadmat(io.BytesIO(out.getvalue()))
    for kind in kinds:
        ours = mat_files.find(out.getvalue(), f"v{kind}").array()
        assert np.array_equal(ours, theirs[f"v{kind}"])
        assert ours.dtype == kind


def test_files_of_the_other_byte_order() -> None:
    value = np.arange(6.0).reshape(2, 3)
    head = struct.pack(">6I", 6, 8, 6, 0, 5, 8) + struct.pack(">2i", *value.shape) + b"\0\3\0\1vf8\0"
    body = head + struct.pack(">2I", 9, 48) + value.ravel(order="F").astype(">f8").tobytes()
    data = b"MATLAB".ljust(124) + b"\1\0MI" + struct.pack(">2I", 14, len(body)) + body
    assert np.array_equal(loadmat(io.BytesIO(data))["vf8"], value)
    assert np.array_equal(mat_files.find(data, "vf8").array(), value)


SEEDS = [
    mat("Kernel", np.eye(7)),
    mat("Kernel", np.eye(7), do_compression=True),
    mat("Kernel", np.eye(5, dtype=np.uint8)),
    mat("kernels", cells(np.eye(5), np.eye(3))),
    npy(np.eye(7)),
]


@pytest.mark.filterwarnings("error")
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_files_are_refused_or_read(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(content[: data.draw(st.integers(0, len(content)))])
    for name, read in (
        ("odd.mat", kernel_files.decode),
        ("odd.mat", kernel_files.decode_collection),
        ("odd.npy", kernel_files.decode),
    ):
        with suppress(KernelError):
            read(damaged, name)


def test_no_damaged_file_ends_the_process() -> None:
    """scipy's reader: a segmentation fault in 2 of 3000 files damaged at random. Here: the worst of the first 2000."""
    code = (
        "import random\n"
        "from mkgan_core.errors import KernelError\n"
        "from mkgan_core.imaging import kernel_files\n"
        "from tests.mkgan_core.imaging.test_kernel_files import SEEDS\n"
        "for seed in range(2000):\n"
        "    chance = random.Random(seed)\n"
        "    content = bytearray(chance.choice(SEEDS))\n"
        "    for _ in range(chance.choice([1, 2, 5, 20])):\n"
        "        content[chance.randrange(min(len(content), 300))] = chance.randrange(256)\n"
        "    for read in (kernel_files.decode, kernel_files.decode_collection):\n"
        "        try:\n            read(bytes(content), 'odd.mat')\n"
        "        except KernelError:\n            pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
