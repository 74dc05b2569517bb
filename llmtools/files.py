"""How a file is read whole: from the kinds of file that are meant, and with a limit of its size.

Rules:
* An attachment is a regular file: a FIFO can wait for ever, and a device has no end. The path may stand in
  a stream that another person wrote.
* A text that the user names may be a FIFO too, such as `<(command)`; it is read up to the limit.
"""

from __future__ import annotations

import os
import stat

from .errors import InputError, NoInputError

MAX_FILE = 256 << 20
"""The most bytes of one file in a message: those that can be downloaded, too."""
_BLOCK = 1 << 20
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def read_file(path: str, *, is_regular: bool = False, limit: int = MAX_FILE) -> bytes:
    """Return the bytes of a file. is_regular: refuse a file of another kind, without waiting for it.

    Raises NoInputError for a file that cannot be read or is refused, InputError for one that is larger
    than `limit` bytes.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | (os.O_NONBLOCK if is_regular else 0)
    try:
        descriptor = os.open(path, flags)
        try:
            return _read(descriptor, path, is_regular, limit)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise NoInputError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise NoInputError(f"{path!r}: {error}") from None


def _read(descriptor: int, path: str, is_regular: bool, limit: int) -> bytes:
    status = os.fstat(descriptor)
    kind = stat.S_IFMT(status.st_mode)
    if kind in _KINDS and (is_regular or kind == stat.S_IFBLK):
        raise NoInputError(f"{path}: {_KINDS[kind]}, not a regular file")
    size = status.st_size if kind == stat.S_IFREG else 0
    blocks = []
    left = limit + 1
    while size <= limit and left > 0 and (data := os.read(descriptor, min(left, max(size + 1, _BLOCK)))):
        blocks.append(data)
        left -= len(data)
    if size > limit or left <= 0:
        raise InputError(f"{path}: larger than {limit >> 20} MiB")
    return b"".join(blocks)
