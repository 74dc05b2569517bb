"""$EDITOR on the terminal, whatever stdin and stdout are."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile

from ..attachment import text_from
from ..errors import LlmToolsError, UsageError


def edited(text: str) -> str:
    """Return `text` as the user leaves it in $VISUAL or $EDITOR (vi), opened on /dev/tty.

    Raises UsageError where there is no terminal, LlmToolsError where the editor fails.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        raise UsageError("-e needs a terminal, and there is none") from None
    with tempfile.TemporaryDirectory(prefix="llm-msg-") as folder:
        path = os.path.join(folder, "message.txt")
        with open(path, "wb") as file:
            file.write(text.encode())
        try:
            done = subprocess.run([*shlex.split(editor), path], stdin=terminal, stdout=terminal, check=False)
        except OSError as error:
            raise LlmToolsError(f"{editor}: {error.strerror}") from None
        finally:
            os.close(terminal)
        if done.returncode:
            raise LlmToolsError(f"{editor} ended with status {done.returncode}: nothing is sent")
        with open(path, "rb") as file:
            return text_from(file.read(), "the edited text").rstrip("\n")
