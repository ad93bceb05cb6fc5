"""What a GGUF file says of itself, read from its first bytes.

May import: errors, units.
Invariant: a header from anywhere is refused or decoded, in bounded memory.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.gguf.early_check import WrongStart, check_early
    from setup_manager.gguf.header import (
        GgufError,
        Header,
        LongArray,
        NeedMoreBytes,
        Tensor,
        read_header,
    )
    from setup_manager.gguf.tensor_types import Kernels, TensorType, tensor_type

__all__ = [
    "GgufError",
    "Header",
    "Kernels",
    "LongArray",
    "NeedMoreBytes",
    "Tensor",
    "TensorType",
    "WrongStart",
    "check_early",
    "read_header",
    "tensor_type",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        early_check="WrongStart check_early",
        header="GgufError Header LongArray NeedMoreBytes Tensor read_header",
        tensor_types="Kernels TensorType tensor_type",
    )
