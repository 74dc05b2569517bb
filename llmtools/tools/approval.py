"""Who may run what: patterns of names, and a person at the terminal.

Rules:
* Naming a source is consent. --deny takes some of it back; --allow leaves only what it names,
  or, where a person is asked, says what needs no asking.
* The question is asked on /dev/tty, with every control character made visible. Without a
  terminal the answer is no.
* `always` holds for the tool as it is described now, here and in later runs: with another
  description or other parameters it is asked about again.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from hashlib import sha256

from ..errors import InputError, LlmToolsError
from ..jsonl import dumps, loads
from ..terminal import visible
from .process import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ..types import Part, ToolRecord

FILE = "approved-tools"


def fingerprint(record: ToolRecord) -> str:
    """Return what names a tool as it is described."""
    return sha256(dumps({name: value for name, value in sorted(record.items())})).hexdigest()


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

    def __call__(self, call: Part, record: ToolRecord) -> Part:
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
        return self._asked(call, record, self._ask)

    def _asked(self, call: Part, record: ToolRecord, ask: Callable[[str], str]) -> Part:
        mark = fingerprint(record)
        if mark in self._approved():
            return call
        while True:
            arguments = visible(dumps(call["arguments"]).decode())
            said = visible(" ".join(record.get("description", "").split()))
            answer = ask(f"{said}\n{visible(call['name'])}({arguments})\nRun it? [y]es, [n]o, [a]lways, [e]dit: ")
            if answer in ("y", "yes"):
                return call
            if answer in ("a", "always"):
                self._remember(mark)
                return call
            if answer in ("e", "edit") and self._edit is not None:
                call = {**call, "arguments": self._edited(call)}
            elif answer in ("n", "no", ""):
                raise ToolError(f"the user denied the call of {call['name']}")

    def _edited(self, call: Part) -> object:
        try:
            arguments = loads(self._edit(dumps(call["arguments"]).decode()).encode())  # type: ignore[misc]
        except InputError:
            return call["arguments"]
        return arguments if isinstance(arguments, dict) else call["arguments"]

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
        from ..config import locked, write

        with locked(self._folder):
            write(self._folder / FILE, "".join(f"{each}\n" for each in sorted({*self._approved(), mark})).encode())


def ask_on_terminal(question: str) -> str:
    """Return the answer that a person gives on /dev/tty. Raises ToolError where there is none."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        raise ToolError("the call was denied: nobody can be asked, as there is no terminal") from None
    try:
        os.write(terminal, question.encode(errors="replace"))
        answer = os.read(terminal, 4096)
    except OSError as error:
        raise LlmToolsError(f"/dev/tty: {error.strerror}") from None
    finally:
        os.close(terminal)
    return answer.decode(errors="replace").strip().lower()
