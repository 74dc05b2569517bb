"""API keys: read from a file, a descriptor, a variable, a command or the system keyring.

Rules:
* The first place that has a key wins: the one that the command line names, the provider's
  variables, its `key_command`, the system keyring. The keyring is asked last.
* A key is never a command-line argument. It is one line of visible ASCII, as it goes into a header.
* A key file that others can read is refused, as ssh does with a private key; so is one in a directory
  in which others can replace it.
"""

from __future__ import annotations

import os
import stat

from ..errors import NoKeyError, setting_name
from ..http.endpoint import Secret
from . import keychain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .catalogue import Provider

COMMAND_TIMEOUT = 60.0
"""The seconds for a key_command, which may ask the user something."""
MAX_KEY_LENGTH = 1 << 16
"""The most characters that are read from a file or a descriptor."""


def secret_of(text: str, source: str) -> Secret:
    """Return a key that was read from `source`. Raises NoKeyError if the text is not a key."""
    key = text.strip()
    if not key:
        raise NoKeyError(f"{source} holds no key")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise NoKeyError(f"{source} holds no key: a key is one word of visible ASCII")
    return Secret(key, source)


def key_from_file(path: str) -> Secret:
    """Return the key in a file. Raises NoKeyError if the file cannot be read, belongs to another user,
    can be read by others, or holds no key."""
    try:
        with open(path, encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode):
                _check_mode(status, path)
                _check_folder(os.path.dirname(os.path.realpath(path)))
            return secret_of(file.read(MAX_KEY_LENGTH), path)
    except OSError as error:
        raise NoKeyError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NoKeyError(f"{path} holds no key: it is not text") from None


def _check_mode(status: os.stat_result, path: str) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid not in (os.geteuid(), 0):
        raise NoKeyError(f"{path} belongs to another user: it is ignored")
    if mode & 0o077:
        raise NoKeyError(f"permissions {mode:04o} for {path} are too open: it is ignored (chmod 600 {path})")


def _check_folder(folder: str) -> None:
    """Raise NoKeyError for a directory in which another user can replace a file."""
    from ..paths import wrong_owner

    status = os.stat(folder)
    problem = "" if status.st_mode & stat.S_ISVTX else wrong_owner(status)
    if problem:
        raise NoKeyError(f"the directory {folder} {problem}: the key in it is ignored (chmod go-w {folder})")


def key_from_descriptor(descriptor: int) -> Secret:
    """Return the key that a file descriptor holds. Raises NoKeyError."""
    try:
        with open(descriptor, encoding="utf-8") as file:
            return secret_of(file.read(MAX_KEY_LENGTH), f"descriptor {descriptor}")
    except OSError as error:
        raise NoKeyError(f"descriptor {descriptor}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NoKeyError(f"descriptor {descriptor} holds no key: it is not text") from None


def key_from_variable(name: str) -> Secret:
    """Return the key in an environment variable. Raises NoKeyError."""
    if name not in os.environ:
        raise NoKeyError(f"the variable {name} is not set")
    return secret_of(os.environ[name], f"the variable {name}")


def has_key_variable(provider: Provider) -> bool:
    """Whether one of the provider's variables has a key."""
    return any(os.environ.get(variable) for variable in provider.keys)


def find_key(name: str, provider: Provider, settings: dict[str, Any], *, is_local: bool) -> Secret | None:
    """Return the key of a provider, None if it needs none.

    settings: the provider's table in the configuration. is_local: whether it is the user's own
    server, which may need no key. Raises NoKeyError.
    """
    key_and_place = find_key_and_place(name, provider, settings, is_local=is_local)
    return key_and_place[0] if key_and_place else None


def find_key_and_place(
    name: str,
    provider: Provider,
    settings: dict[str, Any],
    *,
    is_local: bool,
    on_wait: Callable[[], None] | None = None,
) -> tuple[Secret, str] | None:
    """Return the key of a provider and where it comes from, such as `variable GROQ_API_KEY`.

    The other parameters are those of `find_key`. on_wait: called when the keyring is slow, to ask
    the user to unlock it; None if nobody is at the terminal.
    """
    is_configured = "key_env" in settings or "key_command" in settings
    if provider.key == "remote" and is_local and not is_configured:
        return None
    for variable in provider.keys:
        if os.environ.get(variable):
            return key_from_variable(variable), f"variable {variable}"
    if "key_command" in settings:
        return key_from_command(name, settings["key_command"]), f"key_command {settings['key_command'][0]}"
    is_required = is_configured or (provider.key == "required" and not is_local)
    if provider.twin and name not in keychain.key_names():
        name = provider.twin
    if not is_required and name not in keychain.key_names():
        return None
    return _key_from_keyring(name, provider, on_wait)


def _key_from_keyring(name: str, provider: Provider, on_wait: Callable[[], None] | None) -> tuple[Secret, str]:
    variables = " or ".join(provider.keys[:1])
    set_it = f"set {variables}" if variables else f"name a key_env under [providers.{name}]"
    try:
        answer = keychain.get_key(name, on_wait)
    except keychain.KeyringError as error:
        raise NoKeyError(
            f"no key for {name}: {error}; {set_it}, or {setting_name('give llm-send a --key-file', 'give a key')}"
        ) from None
    if answer is None:
        raise NoKeyError(f"no key for {name}: {set_it}, or keep one in the keyring: llm-keys set {name}")
    key, backend = answer
    return secret_of(key, f"the keyring, for {name},"), f"keyring {backend}"


def key_from_command(name: str, command: list[str]) -> Secret:
    """Return the key that the key_command of a provider prints. Raises NoKeyError."""
    import subprocess

    shown = f"the key_command of {name} ({command[0]})"
    try:
        completed = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise NoKeyError(f"{shown} took longer than {COMMAND_TIMEOUT:g} s") from None
    except (OSError, ValueError) as error:
        raise NoKeyError(f"{shown}: {getattr(error, 'strerror', None) or error}") from None
    if status := completed.returncode:
        lines = completed.stderr.decode(errors="replace").strip().splitlines()
        how = f"status {status}" if status > 0 else f"signal {-status}"
        raise NoKeyError(f"{shown} failed with {how}" + (f": {lines[-1][:300]}" if lines else ""))
    try:
        return secret_of(completed.stdout.decode(), shown)
    except UnicodeDecodeError:
        raise NoKeyError(f"{shown} printed no key: it is not text") from None
