"""The tables of the log, and how its database is opened and made.

Rules:
* One file, `log.db` in the data directory; 0600, the directory 0700, from the first byte
  (SQLite gives -wal and -shm the mode of the file they belong to).
* WAL, synchronous=FULL: what was committed survives a crash of the machine too.
* Every change is one short transaction that begins IMMEDIATE; a busy database is waited
  for, at most WAIT seconds.
* The first process makes the tables while it holds the lock of the directory: switching to
  WAL is the one step that SQLite does not wait for.
* A database that is damaged, of another program, or of a newer llmtools is never changed.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from ..errors import (
    CreateError,
    InputError,
    NoInputError,
    OutputError,
)
from ..paths import data_folder, lock_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
VERSION = 1
APPLICATION = 0x6C6C6D74  # "llmt"
WAIT = 30.0
"""Seconds for which a database that another process writes to is waited for."""
ROOM = 1 << 20
"""Bytes that must be free on the disk for what is required to be stored."""
_TRY = 1.0  # of these; between two tries a signal is heard

TABLES = """
CREATE TABLE node ( -- a message at its place in a conversation
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE, -- of the parent's hash and the canonical message
    parent INTEGER REFERENCES node, -- the message before it; NULL for a first one
    depth INTEGER NOT NULL, -- how many messages there are up to it
    face BLOB NOT NULL, -- as hash, of what a client that knows only text shows of it
    role TEXT NOT NULL,
    created INTEGER NOT NULL, -- Unix time in ms
    toolset INTEGER REFERENCES toolset, -- the tools declared in the stream that ended here last
    body TEXT NOT NULL -- the message without its response; attachments' bytes by {"sha256"}
);
CREATE INDEX node_parent ON node (parent);
CREATE INDEX node_face ON node (face);
CREATE TABLE response ( -- how a message came about: several where it came about several times
    id INTEGER PRIMARY KEY,
    node INTEGER REFERENCES node, -- the reply; NULL where none came
    asked INTEGER REFERENCES node, -- what it answers
    key BLOB UNIQUE, -- of hash and body; NULL while the reply is not there
    status TEXT NOT NULL, -- ok, error, cancelled, truncated; or `unfinished`
    model TEXT,
    created TEXT NOT NULL, -- RFC 3339, UTC
    body TEXT NOT NULL -- the `response` of the message
);
CREATE INDEX response_node ON response (node);
CREATE INDEX response_asked ON response (asked);
CREATE TABLE attachment (id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, content BLOB NOT NULL);
CREATE TABLE attached (
    node INTEGER NOT NULL REFERENCES node,
    attachment INTEGER NOT NULL REFERENCES attachment,
    PRIMARY KEY (node, attachment)
) WITHOUT ROWID;
CREATE TABLE tool (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, body TEXT NOT NULL);
CREATE TABLE toolset ( -- the tools of a stream, in order: [[how many messages stand before, tool.id], ...]
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    body TEXT NOT NULL
);
CREATE TABLE called (name TEXT NOT NULL, node INTEGER NOT NULL REFERENCES node, PRIMARY KEY (name, node)) WITHOUT ROWID;
CREATE TABLE head ( -- where a stored stream ended
    node INTEGER PRIMARY KEY REFERENCES node,
    seen INTEGER NOT NULL, -- Unix time in ns, later than that of every head before
    rest TEXT -- what a conversation record says beside messages and tools
);
CREATE INDEX head_seen ON head (seen);
CREATE TABLE name (name TEXT PRIMARY KEY, node INTEGER NOT NULL REFERENCES node) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5 (text, content='', tokenize="unicode61 remove_diacritics 2");
"""


class NewerError(OutputError):
    """The log is of a newer llmtools: it can be read at the most."""


def default_path() -> Path:
    """Return where the log is, be it there or not."""
    return data_folder() / "log.db"


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn sqlite3 and OS errors into OutputError with the path. What a check of stored content
    refuses (InputError) counts as damage of the database."""
    try:
        yield
    except sqlite3.Error as error:
        said = str(error)
        if "locked" in said:
            said = "another process holds it"
        raise OutputError(f"{path}: {said}") from None
    except OSError as error:
        raise OutputError(f"{error.filename or path}: {error.strerror}") from None
    except CreateError as error:
        raise OutputError(error.message) from None
    except (InputError, UnicodeDecodeError) as error:  # SQLite quotes what it cannot read, which is not text
        raise OutputError(f"{path}: damaged: {error}") from None


def _connect(path: Path, options: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{options}"
    connection = sqlite3.connect(uri, uri=True, timeout=_TRY, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    patiently(lambda: connection.execute("PRAGMA synchronous = FULL"))  # the first to read the file
    return connection


def open_to_write(path: Path) -> sqlite3.Connection:
    """Return a connection to the log, made where there is none. Raises OutputError."""
    with sqlite_errors(path):
        if not path.exists() or path.stat().st_size == 0:
            with lock_folder(path.parent):
                if not path.exists():
                    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
                if path.stat().st_size == 0:
                    return _made(_connect(path, "mode=rw"))
        connection = _connect(path, "mode=rw")
        if _is_empty(path, connection):
            with lock_folder(path.parent):
                if _is_empty(path, connection):
                    return _made(connection)
        return connection


def open_to_read(path: Path) -> tuple[sqlite3.Connection, str | None]:
    """Return a connection that changes nothing, and what is to be said of the log, if anything.

    Raises NoInputError where there is none, OutputError where it cannot be read.
    """
    if not path.exists():
        raise NoInputError(f"nothing has been stored yet ({path})")
    said = None
    with sqlite_errors(path):
        try:
            connection = _connect(path, "mode=rw")
            connection.execute("PRAGMA query_only = ON")
            is_empty = _is_empty(path, connection)
        except NewerError as error:
            is_empty, said = False, f"{error.message}: it is read only"
        except sqlite3.OperationalError as error:  # neither file nor directory may be written to
            if "locked" in str(error) or _has_log_of_its_own(path):
                raise
            connection = _connect(path, "mode=ro&immutable=1")
            is_empty = _is_empty(path, connection)
        if is_empty:
            raise NoInputError(f"nothing has been stored yet ({path})")
        return connection, said


def _has_log_of_its_own(path: Path) -> bool:
    """Whether something was committed that is not in the database file yet."""
    ahead = Path(f"{path}-wal")
    return ahead.exists() and ahead.stat().st_size > 0


def _is_empty(path: Path, connection: sqlite3.Connection) -> bool:
    """Whether the tables are still to be made. Raises OutputError for what is no log of ours."""
    version = patiently(lambda: connection.execute("PRAGMA user_version")).fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if (version, application) == (0, 0) and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        return True
    if application != APPLICATION:
        raise OutputError(f"{path}: a database, but no log of llmtools")
    if version > VERSION:
        raise NewerError(f"{path}: written by a newer llmtools (format {version}, this one knows {VERSION})")
    return False


def _made(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    for statement in TABLES.split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
    return connection


def patiently(run: Callable[[], T]) -> T:
    """Do what another process may have to be waited for, and return what it gives."""
    until = time.monotonic() + WAIT
    while True:
        try:
            return run()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= until:
                raise


@contextmanager
def changing(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction: all of what is done in it, or nothing."""
    patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
