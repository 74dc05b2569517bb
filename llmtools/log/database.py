"""The tables of the log, and how its database is created and opened.

Rules:
* One file, `log.db` in the data directory; 0600, the directory 0700, from the first byte
  (SQLite gives -wal and -shm the mode of the file they belong to).
* WAL, synchronous=FULL: a committed transaction survives a crash of the machine too.
* Every change is one short transaction that begins IMMEDIATE. If another process writes, we wait
  for at most BUSY_TIMEOUT.
* The first process creates the tables while it holds the lock of the directory: switching to
  WAL is the one step for which SQLite does not wait.
* A database that is damaged, belongs to another program, or was written by a newer llmtools is
  never changed.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
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
    from typing import Any

    Row = dict[str, Any]

Answer = TypeVar("Answer")
SCHEMA_VERSION = 1
APPLICATION_ID = 0x6C6C6D74  # "llmt"
BUSY_TIMEOUT = 30.0
"""The seconds for which we wait while another process writes to the database."""
MIN_FREE_BYTES = 1 << 20
"""The bytes that must be free on the disk for a log that must be written."""
_TRY_TIMEOUT = 1.0
"""The seconds of one try within BUSY_TIMEOUT. Signals are handled between two tries."""
_STEPS = 1_000_000
"""How many steps a query takes between two returns to Python, which handles the signals."""

TABLES = """
CREATE TABLE node ( -- a message at its place in a conversation
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE, -- of the parent's hash and the canonical message
    parent INTEGER REFERENCES node, -- the message before it; NULL for a first one
    depth INTEGER NOT NULL, -- how many messages there are up to it
    face BLOB NOT NULL, -- as hash, of the message as a client that keeps only text sends it back
    role TEXT NOT NULL,
    created INTEGER NOT NULL, -- Unix time in ms
    toolset INTEGER REFERENCES toolset, -- the tools of the last stream that ended at this message
    body TEXT NOT NULL -- the message without its response; attachments' bytes by {"sha256"}
);
CREATE INDEX node_parent ON node (parent);
CREATE INDEX node_face ON node (face);
CREATE TABLE response ( -- the request that produced a message: several if it was produced several times
    id INTEGER PRIMARY KEY,
    node INTEGER REFERENCES node, -- the reply; NULL if there is none
    asked INTEGER REFERENCES node, -- the message that it answers
    key BLOB UNIQUE, -- of hash and body; NULL while the request runs
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
CREATE TABLE toolset ( -- the tools of a stream, in order: [[number of messages before it, tool.id], ...]
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    body TEXT NOT NULL
);
CREATE TABLE called (name TEXT NOT NULL, node INTEGER NOT NULL REFERENCES node, PRIMARY KEY (name, node)) WITHOUT ROWID;
CREATE TABLE head ( -- where a stored stream ended
    node INTEGER PRIMARY KEY REFERENCES node,
    seen INTEGER NOT NULL, -- Unix time in ns, later than that of every earlier head
    rest TEXT -- the other fields of the conversation record, without messages and tools
);
CREATE INDEX head_seen ON head (seen);
CREATE TABLE name (name TEXT PRIMARY KEY, node INTEGER NOT NULL REFERENCES node) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5 (text, content='', tokenize="unicode61 remove_diacritics 2");
"""


class NewerError(OutputError):
    """The log was written by a newer llmtools: we may read it, but not write to it."""


def unix_milliseconds(created: object) -> int | None:
    """Return an RFC 3339 time as Unix time in ms; None if it is not one, or not after 1970. A time
    without an offset is UTC."""
    try:
        moment = datetime.fromisoformat(str(created))
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    milliseconds = (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
    return milliseconds if milliseconds > 0 else None


def default_path() -> Path:
    """Return the path of the log, whether it exists or not."""
    return data_folder() / "log.db"


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn sqlite3 and OS errors into OutputError with the path. Stored content that fails its checks
    (InputError) counts as damage of the database."""
    try:
        yield
    except sqlite3.Error as error:
        reason = str(error)
        if "locked" in reason:
            reason = "another process holds it"
        raise OutputError(f"{path}: {reason}") from None
    except OSError as error:
        raise OutputError(f"{error.filename or path}: {error.strerror}") from None
    except CreateError as error:
        raise OutputError(error.message) from None
    except (InputError, UnicodeDecodeError) as error:  # sqlite3 quotes damaged names, which may not be UTF-8
        raise OutputError(f"{path}: damaged: {error}") from None


def _connect(path: Path, options: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{options}"
    connection = sqlite3.connect(uri, uri=True, timeout=_TRY_TIMEOUT, isolation_level=None)
    connection.set_progress_handler(lambda: 0, _STEPS)
    connection.execute("PRAGMA foreign_keys = ON")
    retry_while_locked(lambda: connection.execute("PRAGMA synchronous = FULL"))  # the first to read the file
    return connection


def open_to_write(path: Path) -> sqlite3.Connection:
    """Return a connection to the log, which is created if needed. Raises OutputError."""
    with sqlite_errors(path):
        if not path.exists() or path.stat().st_size == 0:
            with lock_folder(path.parent):
                if not path.exists():
                    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
                if path.stat().st_size == 0:
                    return _create_tables(_connect(path, "mode=rw"))
        connection = _connect(path, "mode=rw")
        if _is_empty(path, connection):
            with lock_folder(path.parent):
                if _is_empty(path, connection):
                    return _create_tables(connection)
        return connection


def open_to_read(path: Path) -> tuple[sqlite3.Connection, str | None]:
    """Return a connection for reading only, and a notice for the user about the log, or None.

    Raises NoInputError if the log is missing or empty, OutputError if it cannot be read.
    """
    if not path.exists():
        raise NoInputError(f"nothing has been stored yet ({path})")
    notice = None
    with sqlite_errors(path):
        try:
            connection = _connect(path, "mode=rw")
            connection.execute("PRAGMA query_only = ON")
            is_empty = _is_empty(path, connection)
        except NewerError as error:
            is_empty, notice = False, f"{error.message}: it is read only"
        except sqlite3.OperationalError as error:  # we may write neither to the file nor to the directory
            if "locked" in str(error) or _has_pending_wal(path):
                raise
            connection = _connect(path, "mode=ro&immutable=1")
            is_empty = _is_empty(path, connection)
        if is_empty:
            raise NoInputError(f"nothing has been stored yet ({path})")
        return connection, notice


def _has_pending_wal(path: Path) -> bool:
    """Whether the -wal file has transactions that are not in the database file yet."""
    wal = Path(f"{path}-wal")
    return wal.exists() and wal.stat().st_size > 0


def _is_empty(path: Path, connection: sqlite3.Connection) -> bool:
    """Whether the database has no tables yet. Raises OutputError if it is not a log of llmtools."""
    version = retry_while_locked(lambda: connection.execute("PRAGMA user_version")).fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if (version, application) == (0, 0) and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        return True
    if application != APPLICATION_ID:
        raise OutputError(f"{path}: this database is not a log of llmtools")
    if version > SCHEMA_VERSION:
        raise NewerError(f"{path}: written by a newer llmtools (format {version}, this one knows {SCHEMA_VERSION})")
    return False


def _create_tables(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    for statement in TABLES.split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")
    return connection


def retry_while_locked(run: Callable[[], Answer]) -> Answer:
    """Call `run`, again and again while another process holds the database, and return its result."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            return run()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the body in one transaction: commit, or roll back if it raises."""
    retry_while_locked(lambda: connection.execute("BEGIN IMMEDIATE"))
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
