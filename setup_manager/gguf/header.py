"""Read the header of a GGUF file, trusting none of it.

A header is data from strangers: every count, length, nesting depth and offset is held to a limit
before anything is allocated for it, so that a hostile file costs an error and neither a crash nor
a gigabyte. Long arrays (the vocabulary, its scores and merges) are walked and only counted. What
is left tells what the file is and how long it must be, which is how a fragment is recognised.

The layout is the one of the GGUF specification in ggml's docs, versions 2 and 3.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO

from setup_manager.gguf.tensor_types import FILE_TYPES, TENSOR_TYPES

MAGIC = b"GGUF"
SUPPORTED_VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
_WINDOW_BYTES = 1 << 20
_STRING, _ARRAY, _BOOL = 8, 9, 7
_MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<B", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
_SCALAR_BYTES = {number: struct.calcsize(code) for number, code in _SCALARS.items()}
_unpack_length = struct.Struct("<Q").unpack_from


class GgufError(ValueError):
    """The bytes are no GGUF header that can be trusted; the message says what is wrong."""


class NeedMoreBytes(GgufError):  # noqa: N818  (it asks for bytes; it need not be an error)
    """The bytes so far are right and end too early.

    Attributes:
        needed_bytes: Length, from the start of the file, without which it cannot go on. It may
            have to be asked for more than once.
    """

    def __init__(self, needed_bytes: int) -> None:
        super().__init__(f"the header continues at least to byte {needed_bytes}")
        self.needed_bytes = needed_bytes


@dataclass(frozen=True, slots=True)
class HeaderLimits:
    """What a header may cost. Gemma 4 needs about 20 MB, 50 keys and 1,000 tensors.

    Attributes:
        header_bytes: Length of the whole header.
        keys: Metadata entries.
        tensors: Tensors.
        key_bytes: Length of one key; the specification allows 65,535.
        name_bytes: Length of one tensor name; ggml allows 63.
        string_bytes: Length of one string value, e.g. a chat template.
        kept_bytes: All strings that are kept, together.
        array_elements: Elements of one array.
        kept_elements: Arrays of numbers up to this length are kept, longer ones are counted.
    """

    header_bytes: int = 64 << 20
    keys: int = 4096
    tensors: int = 32768
    key_bytes: int = 1024
    name_bytes: int = 256
    string_bytes: int = 1 << 20
    kept_bytes: int = 8 << 20
    array_elements: int = 8 << 20
    kept_elements: int = 1024


@dataclass(frozen=True, slots=True)
class LongArray:
    """An array that was walked and counted but not kept.

    Attributes:
        element_type: GGUF value type of its elements; 8 is a string.
        length: Elements.
    """

    element_type: int
    length: int


Value = int | float | bool | str | tuple["Value", ...] | LongArray


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor as the header lists it.

    Attributes:
        name: E.g. ``"blk.0.attn_q.weight"``.
        shape: Elements a dimension, the contiguous one first.
        type: Number of its ggml type.
        offset: Bytes from the start of the tensor data.
    """

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int

    @property
    def type_name(self) -> str | None:
        """Name of its type, e.g. ``"Q4_K"``, or None for a type newer than this table."""
        kind = TENSOR_TYPES.get(self.type)
        return kind.name if kind else None

    @property
    def elements(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int | None:
        """Bytes of its data, or None for a type newer than this table."""
        kind = TENSOR_TYPES.get(self.type)
        return None if kind is None else self.elements // kind.block_length * kind.block_bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says of itself.

    Attributes:
        version: Of the format, 2 or 3.
        metadata: Key to value; long arrays and arrays of strings are only counted.
        tensors: In the order of the header.
        data_offset: Where the tensor data begins, in bytes from the start of the file.
        alignment: Of tensors within it, in bytes.
    """

    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    data_offset: int
    alignment: int

    def text(self, key: str) -> str | None:
        """Return a string value made fit to print: one line, no control characters, 200 long."""
        value = self.metadata.get(key)
        if not isinstance(value, str):
            return None
        return "".join(c if c.isprintable() else " " for c in value[:200]).strip()

    @property
    def architecture(self) -> str | None:
        """The architecture, e.g. ``"gemma4"``, ``"clip"`` or ``"gemma4-assistant"``."""
        return self.text("general.architecture")

    @property
    def quantization(self) -> str | None:
        """The label that ``general.file_type`` stands for; UD files carry the plain label."""
        number = self.metadata.get("general.file_type")
        return FILE_TYPES.get(number) if isinstance(number, int) else None

    @property
    def data_end(self) -> int | None:
        """Where the last tensor ends, in bytes from the start of the file, or None if unknown."""
        end = 0
        for tensor in self.tensors:
            size = tensor.size_bytes
            if size is None:
                return None
            end = max(end, tensor.offset + size)
        return self.data_offset + end

    @property
    def file_size_bytes(self) -> int | None:
        """How long the file must be: writers pad the last tensor to the alignment too."""
        return None if self.data_end is None else _aligned(self.data_end, self.alignment)


def read_header(
    source: BinaryIO | bytes | bytearray | memoryview, limits: HeaderLimits | None = None
) -> Header:
    """Read a header from the start of a file or from a prefix of one.

    Args:
        source: A stream at the start of the file, or bytes; a prefix is enough if the header is
            in it. The stream is read a little beyond the header.
        limits: What the header may cost.

    Returns:
        The header; memory stays within a few times ``limits.kept_bytes``.

    Raises:
        NeedMoreBytes: If the bytes end before the header does.
        GgufError: If they are no header, or one beyond the limits.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        source = io.BytesIO(source)
    return _Parser(source, limits or HeaderLimits()).parse()


def _aligned(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment


class _Parser:
    """A cursor over a window of the stream; it moves forward only."""

    def __init__(self, stream: BinaryIO, limits: HeaderLimits) -> None:
        self._stream = stream
        self._limits = limits
        self._window = b""
        self._at = 0
        self._base = 0
        self._kept = 0

    def parse(self) -> Header:
        version = self._version()
        tensor_count = self._count("tensors", self._limits.tensors, minimum_bytes=24)
        key_count = self._count("keys", self._limits.keys, minimum_bytes=13)
        metadata = self._metadata(key_count)
        alignment = _checked_alignment(metadata)
        tensors = self._tensors(tensor_count, alignment)
        data_offset = _aligned(self._base + self._at, alignment)
        return Header(version, MappingProxyType(metadata), tensors, data_offset, alignment)

    def _version(self) -> int:
        magic = self._take(4)
        if magic != MAGIC:
            raise GgufError(f"it begins with {magic!r} where a GGUF file begins with {MAGIC!r}")
        raw = self._take(4)
        version = int.from_bytes(raw, "little")
        if version not in SUPPORTED_VERSIONS:
            raise GgufError(_version_problem(raw))
        return version

    def _metadata(self, count: int) -> dict[str, Value]:
        metadata: dict[str, Value] = {}
        for _ in range(count):
            key = self._name("key", self._limits.key_bytes)
            if key in metadata:
                raise GgufError(f"the key {key!r} appears twice")
            metadata[key] = self._value(self._scalar(4))
        return metadata

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array()
        return self._number(kind)

    def _array(self) -> Value:
        kind = self._scalar(4)
        if kind == _ARRAY:
            raise GgufError("nested arrays, which no runtime supports")  # gguf.cpp refuses them
        minimum = 8 if kind == _STRING else _SCALAR_BYTES.get(kind)
        if minimum is None:
            raise GgufError(f"value type {kind} does not exist")
        count = self._count("array elements", self._limits.array_elements, minimum)
        if kind == _STRING:
            self._skip_strings(count)
        elif count <= self._limits.kept_elements:
            self._keep(count * 8)
            return tuple(self._number(kind) for _ in range(count))
        else:
            self._skip(count * minimum)
        return LongArray(kind, count)

    def _tensors(self, count: int, alignment: int) -> tuple[Tensor, ...]:
        tensors: dict[str, Tensor] = {}
        for _ in range(count):
            tensor = self._tensor(alignment)
            if tensor.name in tensors:
                raise GgufError(f"the tensor {tensor.name!r} appears twice")
            tensors[tensor.name] = tensor
        return tuple(tensors.values())

    def _tensor(self, alignment: int) -> Tensor:
        name = self._name("tensor name", self._limits.name_bytes)
        dimensions = self._scalar(4)
        if dimensions > _MAX_DIMENSIONS:
            raise GgufError(f"the tensor {name!r} has {dimensions} dimensions")
        shape = tuple(self._scalar(8) for _ in range(dimensions))
        tensor = Tensor(name, shape, self._scalar(4), self._scalar(8))
        _check_tensor(tensor, alignment)
        return tensor

    def _name(self, what: str, limit: int) -> str:
        length = self._scalar(8)
        if length > limit:
            raise GgufError(f"a {what} is {length} bytes long, over the limit of {limit}")
        self._keep(length)
        try:
            return self._take(length).decode()
        except UnicodeDecodeError:
            raise GgufError(f"a {what} is not UTF-8") from None

    def _string(self) -> str:
        length = self._scalar(8)
        self._check_string(length)
        self._keep(length)
        return self._take(length).decode(errors="replace")

    def _check_string(self, length: int) -> None:
        if length > self._limits.string_bytes:
            raise GgufError(
                f"a string is {length} bytes long, over the limit of {self._limits.string_bytes}"
            )

    def _number(self, kind: int) -> int | float | bool:
        code = _SCALARS.get(kind)
        if code is None:
            raise GgufError(f"value type {kind} does not exist")
        number: int | float = struct.unpack(code, self._take(_SCALAR_BYTES[kind]))[0]
        if kind != _BOOL:
            return number
        if number not in (0, 1):
            raise GgufError(f"a boolean is {number}")
        return bool(number)

    def _scalar(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _count(self, what: str, limit: int, minimum_bytes: int) -> int:
        count = self._scalar(8)
        if count > limit or count * minimum_bytes > self._limits.header_bytes:
            raise GgufError(f"{count} {what} are over the limit of {limit}")
        return count

    def _keep(self, size_bytes: int) -> None:
        self._kept += size_bytes
        if self._kept > self._limits.kept_bytes:
            limit = self._limits.kept_bytes
            raise GgufError(f"its strings and short arrays take more than {limit} bytes")

    def _take(self, size: int) -> bytes:
        if len(self._window) - self._at < size:
            self._fill(size)
        taken = self._window[self._at : self._at + size]
        self._at += size
        return taken

    def _fill(self, size: int) -> None:
        """Slide the window so that `size` bytes from the cursor on are in it."""
        self._base += self._at
        self._window = self._window[self._at :]
        self._at = 0
        self._check_length(self._base + size)
        while len(self._window) < size:
            more = self._stream.read(max(_WINDOW_BYTES, size - len(self._window)))
            if not more:
                raise NeedMoreBytes(self._base + size)
            self._window += more

    def _check_length(self, end: int) -> None:
        if end > self._limits.header_bytes:
            raise GgufError(f"the header is longer than {self._limits.header_bytes} bytes")

    def _skip(self, size: int) -> None:
        self._check_length(self._base + self._at + size)
        while size > len(self._window) - self._at:
            size -= len(self._window) - self._at
            self._at = len(self._window)
            try:
                self._fill(1)
            except NeedMoreBytes:
                raise NeedMoreBytes(self._base + size) from None
        self._at += size

    def _skip_strings(self, count: int) -> None:
        """Step over `count` strings; the inner loop runs 800,000 times on a real vocabulary."""
        limit = self._limits.string_bytes
        while count:
            if len(self._window) - self._at < 8:
                self._fill(8)
            window, at, last = self._window, self._at, len(self._window) - 8
            while count and at <= last:
                (length,) = _unpack_length(window, at)
                if length > limit:
                    self._check_string(length)
                at += 8 + length
                count -= 1
            self._skip(at - self._at)


def _version_problem(raw: bytes) -> str:
    if int.from_bytes(raw, "big") in SUPPORTED_VERSIONS:
        return "it is a big-endian GGUF file; the runtimes here read little-endian ones"
    version = int.from_bytes(raw, "little")
    wanted = " or ".join(map(str, SUPPORTED_VERSIONS))
    return f"it is of GGUF version {version}; version {wanted} can be read"


def _checked_alignment(metadata: Mapping[str, Value]) -> int:
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or isinstance(alignment, bool):
        raise GgufError("general.alignment is not an integer")
    if not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
        raise GgufError(f"general.alignment is {alignment}, not a power of two up to 1 MiB")
    return alignment


def _check_tensor(tensor: Tensor, alignment: int) -> None:
    """Refuse shapes and offsets that no file could hold.

    Raises:
        GgufError: If the data would lie beyond what a signed 64-bit offset reaches, or a row is
            no whole number of blocks, or the offset is not aligned.
    """
    if tensor.offset % alignment:
        raise GgufError(f"the tensor {tensor.name!r} begins at {tensor.offset}, not aligned")
    kind = TENSOR_TYPES.get(tensor.type)
    if kind and tensor.shape and tensor.shape[0] % kind.block_length:
        raise GgufError(f"a row of the tensor {tensor.name!r} is not a whole number of blocks")
    if tensor.offset + (tensor.size_bytes or 0) >= 1 << 62 or any(
        d >= 1 << 62 for d in tensor.shape
    ):
        raise GgufError(f"the tensor {tensor.name!r} ends beyond any file")
