"""The directories of llmtools, and how a file is written into them.

Rules:
* LLMTOOLS_CONFIG is the path of another configuration, LLMTOOLS_DATA of another data directory.
* A new file has the mode 0600 and a new directory 0700, from the start.
* A file appears whole or not at all. A process locks the directory before it changes a file.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from .errors import CreateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG_VARIABLE = "LLMTOOLS_CONFIG"
DATA_VARIABLE = "LLMTOOLS_DATA"


def _folder(kind: str) -> Path:
    import platformdirs

    return getattr(platformdirs.PlatformDirs("llmtools", appauthor=False), f"user_{kind}_path")  # type: ignore[no-any-return]


def config_file() -> Path:
    """Return the path of the configuration, which may not exist."""
    from pathlib import Path

    path = os.environ.get(CONFIG_VARIABLE)
    return Path(os.path.expanduser(path)) if path else _folder("config") / "config.toml"


def data_folder() -> Path:
    """Return the directory of the data: the log, and the prices."""
    from pathlib import Path

    path = os.environ.get(DATA_VARIABLE)
    return Path(os.path.expanduser(path)) if path else _folder("data")


def cache_folder() -> Path:
    """Return the directory of what can be downloaded again."""
    return _folder("cache")


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Create a directory that does not exist, and hold its lock. Raises CreateError."""
    import fcntl

    try:
        _make_folder(folder)
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CreateError(f"{error.filename}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    for part in (*reversed(folder.parents), folder):
        if not part.is_dir():
            try:
                part.mkdir(0o700)
            except FileExistsError:
                if not part.is_dir():
                    raise


class WholeFile:
    """A file that appears when it is committed, whole. Until then it has another name in the same
    directory. Raises OSError.

    mode: the mode of a new file, less the umask. A file that is replaced passes on its mode.
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
        """Give the file its name, in one step."""
        try:
            os.fsync(self._descriptor)
            os.replace(self.temporary, self.path)
        except BaseException:
            self.discard()
            raise
        os.close(self._descriptor)

    def discard(self) -> None:
        """Delete what was written. A file that has the path already stays as it is."""
        os.close(self._descriptor)
        os.unlink(self.temporary)


def write_file(path: Path, data: bytes) -> None:
    """Write a file in one step: with the mode of the file that it replaces, else 0600.

    Raises CreateError.
    """
    try:
        _make_folder(path.parent)
        file = WholeFile(path)
        try:
            file.write(data)
        except BaseException:
            file.discard()
            raise
        file.commit()
    except OSError as error:
        raise CreateError(f"{path}: {error.strerror}") from None
