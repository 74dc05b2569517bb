"""Configurations and a keyring for the tests, where the commands of a `Shell` find them."""

from __future__ import annotations

from pathlib import Path

from support.harness import Shell
from support.server import Server

FILE_BACKEND = """
import json, os
from keyring.backend import KeyringBackend
from keyring.errors import KeyringError, KeyringLocked

class Keyring(KeyringBackend):
    "Keeps what it is given in a file, or does what BACKEND says."
    priority = 0.4
    def _all(self):
        open("asked", "a").write("x")
        print("noise on stdout")
        how = os.environ.get("BACKEND")
        if how == "locked":
            raise KeyringLocked("Failed to unlock the collection!")
        if how == "raises":
            raise KeyringError(f"first line {KEY!r}\\nsecond line")
        if how == "dies":
            os._exit(3)
        if how == "floods":
            os.write(1, b"x" * 1000000)
        if how == "hangs":
            import subprocess, time
            child = subprocess.Popen(["sleep", "60"])
            open("pids", "w").write(f"{os.getpid()} {child.pid}")
            time.sleep(60)
        return json.load(open("kept")) if os.path.exists("kept") else {}
    def get_password(self, service, name):
        return self._all().get(f"{service}/{name}")
    def set_password(self, service, name, password):
        global KEY
        KEY = password
        json.dump({**self._all(), f"{service}/{name}": password}, open("kept", "w"))
    def delete_password(self, service, name):
        kept = self._all()
        del kept[f"{service}/{name}"]
        json.dump(kept, open("kept", "w"))
KEY = "none"
"""

HI = '{"role":"user","content":"hi"}\n'


def settle(shell: Shell, text: str | bytes) -> Path:
    """Write the configuration of the shell's user."""
    path = shell.folder / ".config" / "llmtools" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def local(server: Server, more: str = "") -> str:
    """A provider of the user's own, `local`, in three lines."""
    return f'[providers.local]\nprotocol = "openai-chat"\nbase_url = "{server.url}"\n{more}'


def with_backend(shell: Shell, how: str = "") -> dict[str, str]:
    """Return an environment in which the keyring is a file of the test's."""
    (shell.folder / "filebackend.py").write_text(FILE_BACKEND)
    return {"PYTHONPATH": str(shell.folder), "PYTHON_KEYRING_BACKEND": "filebackend.Keyring", "BACKEND": how}
