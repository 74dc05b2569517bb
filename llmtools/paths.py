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
    from collections.abc import Iterable, Iterator
    from pathlib import Path

CONFIG_VARIABLE = "LLMTOOLS_CONFIG"
DATA_VARIABLE = "LLMTOOLS_DATA"
_RANDOM_LENGTH = len(".") + 16


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


def wrong_owner(status: os.stat_result) -> str:
    """Return who else may change a file or a directory than its user and root, "" if nobody may.

    The group may if it is the user's own: one with the number of the user.
    """
    if status.st_uid not in (os.geteuid(), 0):
        return "belongs to another user"
    mode = status.st_mode
    is_of_group = mode & 0o020 and status.st_gid != status.st_uid
    return "can be changed by others" if mode & 0o002 or is_of_group else ""


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


def name_limit(folder: str) -> int:
    """Return the most bytes of a file name in a directory that exists."""
    try:
        return os.pathconf(folder or os.curdir, "PC_NAME_MAX")
    except (OSError, ValueError):
        return 255


def shorten_name(name: str, length: int) -> str:
    """Return a file name of `length` bytes at most, with its ending."""
    stem, ending = os.path.splitext(name)
    if len(os.fsencode(ending)) > length // 2:
        stem, ending = name, ""
    return os.fsencode(stem)[: length - len(os.fsencode(ending))].decode(errors="ignore") + ending


class WholeFile:
    """A file that appears when it is committed, whole. Until then it has another name in the same
    directory. Raises OSError.

    mode: the mode of a new file, less the umask. A file that is replaced passes on its mode. A path that
    ends in a separator is that of a directory: `commit_new` gives the name.
    """

    def __init__(self, path: str | Path, mode: int = 0o600) -> None:
        self.path = str(path)
        folder, name = os.path.split(self.path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        beginning = shorten_name(f".{name}", name_limit(folder) - _RANDOM_LENGTH)
        while True:
            self.temporary = os.path.join(folder, f"{beginning}.{os.urandom(8).hex()}")
            try:
                self._descriptor = os.open(self.temporary, flags, mode)
                break
            except FileExistsError:
                continue
        if name and os.path.exists(self.path):
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

    def commit_new(self, paths: Iterable[str]) -> str:
        """Give the file the first of the paths that no file has; return it."""
        for path in paths:
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
            except FileExistsError:
                continue
            except BaseException:
                self.discard()
                raise
            self.path = path
            self.commit()
            return path
        raise FileExistsError(self.path)

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
