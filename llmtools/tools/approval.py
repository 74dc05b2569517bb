"""Decides which calls may run: by patterns of tool names, and by asking the user at the terminal.

Rules:
* Naming a source is consent, but not to the calls of a provider's own tools. --deny refuses tools
  by name. --allow refuses all others or, with --ask, names the tools that need no question.
* The question is asked on /dev/tty, with every control character made visible. Without a
  terminal the answer is no. What was typed before the whole question was written is no answer.
* A long description or long arguments are shortened, so that a question fits on a screen: the question
  tells how long they are and their SHA-256, and the user can view all of the arguments.
* `always` is remembered for this tool, source and directory. A changed description, schema or
  directory asks again.
"""

from __future__ import annotations

import errno
import os
import termios
from fnmatch import fnmatchcase
from hashlib import sha256

from ..errors import InputError, LlmToolsError
from ..records.jsonl import dumps, loads
from ..terminal import visible
from .process import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ..records.types import Part, ToolRecord

APPROVED_FILE = "approved-tools"
"""The file of remembered answers, in the data directory: a fingerprint on each line."""
QUESTION = "Run it? [y]es, [n]o, [a]lways, [v]iew, [e]dit: "
MAX_DESCRIPTION, MAX_ARGUMENTS = 600, 1200
"""The most characters of a question that describe the tool, and that show the arguments."""


def fingerprint(record: ToolRecord, source: str = "") -> str:
    """Return a hash of a tool record, the name of its source and the current directory."""
    return sha256(os.getcwdb() + b"\0" + dumps([source, sorted(record.items())])).hexdigest()


class Approval:
    """Decides whether a call may run. An instance is called with a call and its tool, and returns
    the call, with the user's edits. Raises ToolError if the call may not run.

    allow, deny: patterns of tool names, as of fnmatch. ask: returns the user's answer to a
    question; None asks nobody. edit: returns a text as the user edited it. view: shows a text to the user.
    folder: the directory of `APPROVED_FILE`; None remembers nothing.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str] = (),
        deny: Iterable[str] = (),
        ask: Callable[[str], str] | None = None,
        edit: Callable[[str], str] | None = None,
        view: Callable[[str], None] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._allow = tuple(allow)
        self._deny = tuple(deny)
        self._ask = ask
        self._edit = edit
        self._view = view
        self._folder = folder

    def __call__(self, call: Part, record: ToolRecord, source: str = "") -> Part:
        """Return the call that may run. Raises ToolError."""
        name = call["name"]
        if any(fnmatchcase(name, pattern) for pattern in self._deny):
            raise ToolError(f"the user denies the tool {name}")
        if any(fnmatchcase(name, pattern) for pattern in self._allow):
            return call
        if self._ask is None:
            if self._allow:
                raise ToolError(f"the user does not allow the tool {name}")
            if call.get("needs_approval"):
                raise ToolError(f"nobody was asked whether the tool {name} may run (--ask asks, --allow allows it)")
            return call
        return self._ask_user(call, record, source, self._ask)

    def _ask_user(self, call: Part, record: ToolRecord, source: str, ask: Callable[[str], str]) -> Part:
        mark = fingerprint(record, source)
        if mark in self._read_approved():
            return call
        description = _shorten(" ".join(f"{source}: {record.get('description', '')}".split()), MAX_DESCRIPTION)
        problem = ""
        while True:
            arguments = _shorten(dumps(call["arguments"]).decode(), MAX_ARGUMENTS)
            answer = (
                ask(f"{description}\n{_shorten(call['name'], MAX_DESCRIPTION)}({arguments})\n{problem}{QUESTION}")
                .strip()
                .lower()
            )
            problem = ""
            if answer in ("y", "yes"):
                return call
            if answer in ("a", "always"):
                self._remember(mark)
                return call
            if answer in ("n", "no", ""):
                raise ToolError(f"the user denied the call of {call['name']}")
            try:
                if answer in ("e", "edit") and self._edit is not None:
                    call = {**call, "arguments": _edit_arguments(call, self._edit)}
                elif answer in ("v", "view") and self._view is not None:
                    self._view(visible(dumps(call["arguments"]).decode()))
            except LlmToolsError as error:
                problem = f"Nothing is changed: {visible(error.message)}\n"

    def _read_approved(self) -> set[str]:
        if self._folder is None:
            return set()
        try:
            return set((self._folder / APPROVED_FILE).read_text("ascii").split())
        except (OSError, ValueError):
            return set()

    def _remember(self, mark: str) -> None:
        if self._folder is None:
            return
        from ..paths import lock_folder, write_file

        with lock_folder(self._folder):
            marks = sorted({*self._read_approved(), mark})
            write_file(self._folder / APPROVED_FILE, "".join(f"{each}\n" for each in marks).encode())


def _edit_arguments(call: Part, edit: Callable[[str], str]) -> object:
    arguments = loads(edit(dumps(call["arguments"]).decode()).encode())
    if not isinstance(arguments, dict):
        raise InputError("the arguments are not a JSON object")
    return arguments


def _shorten(text: str, length: int) -> str:
    """Return a text for a terminal: all of it, or its beginning and end, and the size and hash of the whole."""
    if len(text) <= length:
        return visible(text)
    data = text.encode(errors="replace")
    left_out = f" [… {len(data)} bytes in all, SHA-256 {sha256(data).hexdigest()} …] "
    return visible(f"{text[: length // 2]}{left_out}{text[-(length // 2) :]}")


def ask_on_terminal(question: str) -> str:
    """Ask the user on /dev/tty and return the answer. Raises ToolError if there is no terminal."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        raise ToolError("the call was denied: nobody can be asked, as there is no terminal") from None
    try:
        shown = question.encode(errors="replace")
        _write_all(terminal, shown[:-1])
        termios.tcflush(terminal, termios.TCIFLUSH)  # keys pressed before the question are not an answer to it
        _write_all(terminal, shown[-1:])
        answer = os.read(terminal, 4096)
    except (OSError, termios.error) as error:
        raise ToolError(f"the call was denied: nobody can be asked on /dev/tty: {error}") from None
    finally:
        os.close(terminal)
    return answer.decode(errors="replace")


def _write_all(terminal: int, data: bytes) -> None:
    """Write all of `data` and wait until it is out: a signal ends a write, or the wait, too early."""
    view = memoryview(data)
    while view:
        view = view[os.write(terminal, view) :]
    while True:
        try:
            return termios.tcdrain(terminal)
        except termios.error as error:
            if error.args[0] != errno.EINTR:
                raise
