"""Arrays of numbers in MATLAB's ``.mat`` files of version 5 to 7.

We use scipy to write them, but not to read them: of 3000 randomly damaged files, two crashed its reader with a
segmentation fault (scipy 1.17). This reader checks every length and reads only numbers.

Source: MathWorks, "MAT-File Format"; the names ``mi...`` and ``mx...`` below are from that document.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np

MAX_BYTES = 2**26  # of an unpacked variable: a few kB can unpack to as many GB
_HEAD_BYTES = 4096  # enough for the class, shape and name of a variable
_START = 128  # where the first element begins
_MATRIX, _COMPRESSED = 14, 15  # miMATRIX, miCOMPRESSED
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}  # miINT8, ...
_CLASSES = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 16: "function", 17: "opaque"}  # mxCELL_CLASS
_COMPLEX = 0x0800  # flag of an array


class Elements:
    """A sequence of data elements: those of a file, or of an array in it."""

    def __init__(self, data: bytes | memoryview, order: str) -> None:
        self.data, self.order = memoryview(data), order

    def at(self, place: int, *, cut: bool = False) -> tuple[int, memoryview, int]:
        """Type, content and end of an element; with ``cut``, the content may end early.

        Raises:
            ValueError: if the element is missing or incomplete.
        """
        if place + 8 > len(self.data):
            raise ValueError("the file is truncated")
        kind, size = struct.unpack_from(f"{self.order}II", self.data, place)
        begin, limit = place + 8, len(self.data)
        end = begin + size + (0 if kind == _COMPRESSED else -size % 8)
        if kind >> 16:  # up to four bytes of content are in the element's head
            kind, size, begin = kind & 0xFFFF, kind >> 16, place + 4
            limit = end = place + 8
        if begin + size > limit and not cut:
            raise ValueError("the file is truncated")
        return kind, self.data[begin : begin + size], end

    def numbers(self, place: int) -> tuple[np.ndarray, int]:
        """The values of an element, and its end.

        Raises:
            ValueError: if it contains no numbers.
        """
        kind, content, end = self.at(place)
        if kind not in _TYPES:
            raise ValueError(f"an element has type {kind}, which is not a numeric type")
        return np.frombuffer(content, self.order + _TYPES[kind]), end


@dataclass(frozen=True)
class Variable:
    """An array, as described by its header.

    Attributes:
        name: empty for an entry of a cell array.
        kind: ``numbers``, ``complex``, ``cell``, or another MATLAB class.
        shape: of the array.
        elements: its data elements.
        place: where the values begin in them.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    elements: Elements
    place: int

    def array(self) -> np.ndarray:
        """The values of ``numbers``.

        Raises:
            ValueError: if they are damaged.
        """
        values, _ = self.elements.numbers(self.place)
        return values.reshape(self.shape, order="F")

    def cells(self) -> list[Variable]:
        """The entries of a ``cell``, column by column.

        Raises:
            ValueError: if they are damaged.
        """
        found, place = [], self.place
        for _ in range(math.prod(self.shape)):
            kind, content, place = self.elements.at(place)
            found.append(_variable(kind, Elements(content, self.elements.order)))
        return found


def find(data: bytes, name: str) -> Variable:
    """The variable with a name.

    Raises:
        KeyError: if there is none, with the names of the existing ones.
        ValueError: if the file is damaged, or of another version.

    Example:
        >>> from scipy.io import savemat
        >>> import io
        >>> savemat(file := io.BytesIO(), {"Kernel": np.eye(3)})
        >>> float(find(file.getvalue(), "Kernel").array().trace())
        3.0
    """
    orders = {b"IM": "<", b"MI": ">"}
    if len(data) < _START or data[126:128] not in orders:
        raise ValueError("not a MATLAB file of version 5 to 7")
    elements, place, names = Elements(data, orders[data[126:128]]), _START, []
    while place + 8 <= len(data):
        kind, content, place = elements.at(place)
        packed = kind == _COMPRESSED
        if packed:
            kind, inner, _ = Elements(_unpacked(content, _HEAD_BYTES), elements.order).at(0, cut=True)
        else:
            inner = content
        found = _variable(kind, Elements(inner, elements.order))
        names.append(found.name)
        if found.name != name:
            continue
        if not packed:
            return found
        whole = _unpacked(content, MAX_BYTES)
        if len(whole) == MAX_BYTES:
            raise ValueError(f"its variable '{name}' takes more than {MAX_BYTES // 2**20} MB")
        kind, inner, _ = Elements(whole, elements.order).at(0)
        return _variable(kind, Elements(inner, elements.order))
    raise KeyError(*names)


def _unpacked(content: memoryview, most: int) -> bytes:
    """The first bytes of a compressed element."""
    try:
        return zlib.decompressobj().decompress(content, most)
    except zlib.error as fault:
        raise ValueError(f"the file is damaged: {fault}") from fault


def _variable(kind: int, elements: Elements) -> Variable:
    """Parses the header of an array."""
    if kind != _MATRIX:
        raise ValueError(f"an element has type {kind} instead of an array")
    if not len(elements.data):  # an empty array needs no header
        return Variable("", "numbers", (0, 0), elements, 0)
    flags, place = elements.numbers(0)
    shape, place = elements.numbers(place)
    letters, place = elements.numbers(place)
    if len(flags) != 2 or flags.dtype.kind != "u" or shape.dtype.kind not in "iu" or (shape < 0).any():
        raise ValueError("the header of an array is damaged")
    kind = int(flags[0])
    named = _CLASSES.get(kind & 0xFF, "complex" if kind & _COMPLEX else "numbers")
    return Variable(letters.tobytes().decode("ascii", "replace"), named, tuple(map(int, shape)), elements, place)
