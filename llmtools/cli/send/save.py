"""--save: the whole conversation, in a file that appears when the run ends."""

from __future__ import annotations

import os
import stat

from ...errors import CreateError, OutputError
from ...paths import WholeFile
from ...terminal import visible_json


class SaveFile:
    """A file that appears, whole, when it is closed. Raises CreateError, OutputError.

    A pipe, a terminal or another file that is not regular is written to directly.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.realpath(path)
        self._whole: WholeFile | None = None
        self._is_broken = False
        try:
            is_regular = _is_regular(self._path)
            if is_regular:
                self._whole = WholeFile(self._path, 0o666)
            self._descriptor = -1 if is_regular else os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise CreateError(f"{path}: {error.strerror}") from None

    def write(self, line: bytes) -> None:
        """Write one line."""
        try:
            if self._whole is None and os.isatty(self._descriptor):
                line = visible_json(line)
            for data in (line, b"\n"):
                if self._whole is not None:
                    self._whole.write(data)
                else:
                    _write(self._descriptor, data)
        except OSError as error:
            self._is_broken = True
            raise OutputError(f"{self._path}: {error.strerror}") from None

    def close(self) -> None:
        """Put the file in its place. After a write that failed, leave what was there before."""
        try:
            if self._whole is None:
                os.close(self._descriptor)
            elif self._is_broken:
                self._whole.discard()
            else:
                self._whole.commit()
        except OSError as error:
            raise OutputError(f"{self._path}: {error.strerror}") from None


def _is_regular(path: str) -> bool:
    """Return whether a file is regular, or will be once it is there."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return True


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
