"""Programs of the user on the terminal, whatever stdin and stdout are: the editor, and the pager."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile

from ..errors import LlmToolsError, UsageError
from ..media_type import text_of_bytes


def edit_text(text: str) -> str:
    """Let the user edit `text` on /dev/tty, in $VISUAL, $EDITOR or vi; return the new text.

    Raises UsageError without a terminal, LlmToolsError where the editor fails.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    return text_of_bytes(_run_on_terminal(editor, text), "the edited text").rstrip("\n")


def view_text(text: str) -> None:
    """Show `text` on /dev/tty, in $PAGER or more. Raises what `edit_text` raises."""
    _run_on_terminal(os.environ.get("PAGER") or "more", f"{text}\n")


def _run_on_terminal(program: str, text: str) -> bytes:
    """Run a program with a file of `text` as its argument; return what is in the file afterwards."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        raise UsageError("-e needs a terminal, and there is none") from None
    with tempfile.TemporaryDirectory(prefix="llm-msg-") as folder:
        path = os.path.join(folder, "message.txt")
        with open(path, "wb") as file:
            file.write(text.encode())
        try:
            process = subprocess.run([*shlex.split(program), path], stdin=terminal, stdout=terminal, check=False)
        except OSError as error:
            raise LlmToolsError(f"{program}: {error.strerror}") from None
        finally:
            os.close(terminal)
        if process.returncode:
            raise LlmToolsError(f"{program} ended with status {process.returncode}")
        with open(path, "rb") as file:
            return file.read()
