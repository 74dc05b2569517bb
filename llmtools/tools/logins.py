"""Keys and logins for MCP servers on the web: the parent's side. `mcp_web` is the child's.

The first line to the child says how it may identify itself:
    {"headers": {"Authorization": "Bearer …"}, "login": {…} or null, "log_in": false}

Rules:
* The table [mcp."URL"] of the configuration has `key_env`, `key_command` and `headers`, as a
  provider has. A key comes before a login.
* A login (OAuth) is kept in the system keyring under the URL, or where there is no keyring in
  `logins.json`, a file with mode 0600. It goes to the child and comes back through pipes.
* Nothing secret goes over plain http to another machine.
"""

from __future__ import annotations

import os
import sys

from ..errors import InputError, NoKeyError, UsageError, error_classes
from ..records.jsonl import dumps, loads
from .process import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from ..http.endpoint import Secret

WEB_SCHEMES = ("mcp+http://", "mcp+https://")
MCP_CLIENT = (sys.executable, "-P", "-m", "llmtools.tools.mcp_main")
"""The command of the child that is the client of a server; the SOURCE follows it."""
LOGINS_FILE = "logins.json"
"""The file of the logins that no keyring keeps, in the data directory: {URL: login}."""


class Login:
    """How we identify ourselves to the server at a URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def settings(self) -> dict[str, Any]:
        """Return the first line for the child. Raises ConfigError or NoKeyError."""
        from ..http.endpoint import check_secrecy
        from ..providers.config import read_config

        table = read_config().mcp.get(self.url, {})
        headers = dict(table.get("headers", {}))
        key = _key(self.url, table)
        if key is not None:
            headers["Authorization"] = f"Bearer {key.reveal()}"
        login = None if key is not None else read_login(self.url)
        if headers or login:
            check_secrecy(self.url.partition("?")[0])
        return {"headers": headers, "login": login, "log_in": False}

    def keep(self, login: dict[str, Any]) -> None:
        """Keep a login that is new. Raises CreateError if there is no place for it."""
        from ..providers import keychain

        try:
            keychain.store_key(self.url, dumps(login).decode())
        except keychain.KeyringError:
            _write_file(self.url, login)


def _key(url: str, table: dict[str, Any]) -> Secret | None:
    """Return the key that the configuration names for a URL. Raises NoKeyError."""
    from ..providers import keys

    variables = table.get("key_env", [])
    variables = [variables] if isinstance(variables, str) else variables
    for variable in variables:
        if os.environ.get(variable):
            return keys.key_from_variable(variable)
    if "key_command" in table:
        return keys.key_from_command(url, table["key_command"])
    if variables:
        raise NoKeyError(f"no key for {url}: set {variables[0]}")
    return None


def read_login(url: str) -> dict[str, Any] | None:
    """Return the login for a URL, None if there is none. Raises NoKeyError for a keyring that does not answer."""
    from ..providers import keychain

    if url not in keychain.key_names():
        login = _read_file().get(url)
        return login if isinstance(login, dict) else None
    try:
        answer = keychain.get_key(url)
    except keychain.KeyringError as error:
        raise NoKeyError(f"no login for {url}: {error}") from None
    try:
        login = loads(answer[0]) if answer else None
    except InputError:
        return None
    return login if isinstance(login, dict) else None


def _logins_file() -> Path:
    from ..paths import data_folder

    return data_folder() / LOGINS_FILE


def _read_file() -> dict[str, Any]:
    try:
        logins = loads(_logins_file().read_bytes())
    except (OSError, InputError):
        return {}
    return logins if isinstance(logins, dict) else {}


def _write_file(url: str, login: dict[str, Any]) -> None:
    from ..paths import lock_folder, write_file

    path = _logins_file()
    with lock_folder(path.parent):
        write_file(path, dumps({**_read_file(), url: login}) + b"\n")


def _is_web(source: str) -> bool:
    return source.startswith(WEB_SCHEMES)


def log_in(source: str) -> str:
    """Log in at the server of a SOURCE, with the user's browser; return what was done, as a sentence. Of
    the sources of a @NAME, it is the first on the web.

    Raises UsageError for a SOURCE that is not on the web, and the error of the child.
    """
    import subprocess

    from ..http.endpoint import check_secrecy

    if source.startswith("@"):
        from ..providers.config import read_config

        source = next((each for each in read_config().tools.get(source[1:], ()) if _is_web(each)), source)
    if not _is_web(source):
        raise UsageError(f"{source}: only a server on the web has a login: mcp+https://…")
    login = Login(source.removeprefix("mcp+"))
    check_secrecy(login.url.partition("?")[0])
    settings = dumps({**login.settings(), "login": None, "log_in": True}) + b"\n"
    done = subprocess.run([*MCP_CLIENT, source], input=settings, stdout=subprocess.PIPE, check=False)
    has_login = False
    for line in done.stdout.splitlines():
        reply = loads(line)
        if "error" in reply:
            raise error_classes().get(reply.get("code", ""), ToolError)(f"{source}: {reply['error']}")
        if "login" in reply:
            login.keep(reply["login"])
            has_login = True
        if "tools" in reply:
            return "logged in" if has_login else "the server asks for no login"
    raise ToolError(f"{source}: it did not list its tools")
