"""Where things are kept: the directories of the platform, and how a file is put there.

Rules:
* LLMTOOLS_CONFIG names another configuration, LLMTOOLS_DATA another directory for data.
* Files are created with 0600, directories with 0700, from the first byte.
* A file is there whole or not at all; who changes one holds the lock of its directory.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from .errors import CreateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "LLMTOOLS_CONFIG"
DATA = "LLMTOOLS_DATA"


def _folder(kind: str) -> Path:
    import platformdirs

    return getattr(platformdirs.PlatformDirs("llmtools", appauthor=False), f"user_{kind}_path")  # type: ignore[no-any-return]


def config_file() -> Path:
    """Return where the configuration is, be it there or not."""
    from pathlib import Path

    named = os.environ.get(FILE)
    return Path(os.path.expanduser(named)) if named else _folder("config") / "config.toml"


def data_folder() -> Path:
    """Return where data is kept."""
    from pathlib import Path

    named = os.environ.get(DATA)
    return Path(os.path.expanduser(named)) if named else _folder("data")


def cache_folder() -> Path:
    """Return where what can be had again is kept."""
    return _folder("cache")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a directory where there is none, and hold its lock: one process after the other."""
    import fcntl

    try:
        _make(folder)
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CreateError(f"{error.filename}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    for part in (*reversed(folder.parents), folder):
        if not part.is_dir():
            try:
                part.mkdir(0o700)
            except FileExistsError:
                if not part.is_dir():
                    raise


class WholeFile:
    """A file that appears, whole, when it is committed: until then it has another name in the same
    directory. Raises OSError.

    mode: of a new file, less the umask. A file that is there keeps the mode that it has.
    """

    def __init__(self, path: str | Path, mode: int = 0o600) -> None:
        self.path = str(path)
        folder, name = os.path.split(self.path)
        self.temporary = os.path.join(folder, f".{name}.{os.getpid()}.{os.urandom(4).hex()}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(self.temporary, flags, mode)
        if os.path.exists(self.path):
            os.fchmod(self._descriptor, os.stat(self.path).st_mode & 0o7777)

    def write(self, data: bytes) -> None:
        """Write all of `data`."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def commit(self) -> None:
        """Put the file in its place, in one step."""
        try:
            os.fsync(self._descriptor)
            os.replace(self.temporary, self.path)
        except BaseException:
            self.discard()
            raise
        os.close(self._descriptor)

    def discard(self) -> None:
        """Remove what was written; what is at the path stays."""
        os.close(self._descriptor)
        os.unlink(self.temporary)


def write(path: Path, data: bytes) -> None:
    """Put a file in its place in one step: with the mode of what was there, else 0600.

    Raises CreateError.
    """
    try:
        _make(path.parent)
        file = WholeFile(path)
        try:
            file.write(data)
        except BaseException:
            file.discard()
            raise
        file.commit()
    except OSError as error:
        raise CreateError(f"{path}: {error.strerror}") from None
