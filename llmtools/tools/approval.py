"""Who may run what: patterns of names, and a person at the terminal.

Rules:
* Naming a source is consent. --deny takes some of it back; --allow leaves only what it names,
  or, where a person is asked, says what needs no asking.
* The question is asked on /dev/tty, with every control character made visible. Without a
  terminal the answer is no.
* `always` holds for the tool of this source as it is described now, in this folder, here and in later
  runs: with another description or other parameters, or where the source is found in another folder,
  it is asked about again.
"""

from __future__ import annotations

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

FILE = "approved-tools"
QUESTION = "Run it? [y]es, [n]o, [a]lways, [e]dit: "


def fingerprint(record: ToolRecord, source: str = "") -> str:
    """Return what names a tool of a source, in this folder, as it is described."""
    return sha256(os.getcwdb() + b"\0" + dumps([source, sorted(record.items())])).hexdigest()


class Approval:
    """Says of each call whether it may run: called with it and its tool, it returns the call, as
    the user may have edited it. Raises ToolError where it may not run."""

    def __init__(
        self,
        *,
        allow: Iterable[str] = (),
        deny: Iterable[str] = (),
        ask: Callable[[str], str] | None = None,
        edit: Callable[[str], str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._allow = tuple(allow)
        self._deny = tuple(deny)
        self._ask = ask
        self._edit = edit
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
            return call
        return self._asked(call, record, source, self._ask)

    def _asked(self, call: Part, record: ToolRecord, source: str, ask: Callable[[str], str]) -> Part:
        mark = fingerprint(record, source)
        if mark in self._approved():
            return call
        said = visible(" ".join(f"{source}: {record.get('description', '')}".split()))
        wrong = ""
        while True:
            arguments = visible(dumps(call["arguments"]).decode())
            answer = ask(f"{said}\n{visible(call['name'])}({arguments})\n{wrong}{QUESTION}").strip().lower()
            wrong = ""
            if answer in ("y", "yes"):
                return call
            if answer in ("a", "always"):
                self._remember(mark)
                return call
            if answer in ("e", "edit") and self._edit is not None:
                try:
                    call = {**call, "arguments": _edited(call, self._edit)}
                except LlmToolsError as error:
                    wrong = f"Nothing is changed: {visible(error.message)}\n"
            elif answer in ("n", "no", ""):
                raise ToolError(f"the user denied the call of {call['name']}")

    def _approved(self) -> set[str]:
        if self._folder is None:
            return set()
        try:
            return set((self._folder / FILE).read_text("ascii").split())
        except (OSError, ValueError):
            return set()

    def _remember(self, mark: str) -> None:
        if self._folder is None:
            return
        from ..paths import lock_folder, write_file

        with lock_folder(self._folder):
            write_file(self._folder / FILE, "".join(f"{each}\n" for each in sorted({*self._approved(), mark})).encode())


def _edited(call: Part, edit: Callable[[str], str]) -> object:
    arguments = loads(edit(dumps(call["arguments"]).decode()).encode())
    if not isinstance(arguments, dict):
        raise InputError("the arguments are no JSON object")
    return arguments


def ask_on_terminal(question: str) -> str:
    """Return the answer that a person gives on /dev/tty. Raises ToolError where there is none."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        raise ToolError("the call was denied: nobody can be asked, as there is no terminal") from None
    try:
        termios.tcflush(terminal, termios.TCIFLUSH)  # what was typed before the question is no answer to it
        os.write(terminal, question.encode(errors="replace"))
        answer = os.read(terminal, 4096)
    except (OSError, termios.error) as error:
        raise ToolError(f"the call was denied: nobody can be asked on /dev/tty: {error}") from None
    finally:
        os.close(terminal)
    return answer.decode(errors="replace")
