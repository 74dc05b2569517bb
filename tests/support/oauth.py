"""An MCP server over HTTP that lets nobody in without a token, and the authorization server that gives
them, both on one port of 127.0.0.1. It registers clients, wants PKCE, and says yes to every user."""

from __future__ import annotations

import json
import threading
from base64 import urlsafe_b64encode
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

Object = dict[str, Any]
TOOLS = [{"name": "whoami", "inputSchema": {"type": "object", "properties": {}}}]


class Guarded:
    """Run it with `with`. `url`: of the MCP server. `tokens`: those that it accepts. `requests`: (method,
    path, headers) of every request. `is_closed`: whether logins are refused. `lifetime`: of a token.
    `reply`: the answer of every call, in which ID is its id, `as_event` as an event."""

    def __init__(self, *, has_login: bool = True) -> None:
        self.has_login = has_login
        self.tokens: set[str] = set()
        self.requests: list[tuple[str, str, Object]] = []
        self.is_closed = False
        self.lifetime = 3600
        self.reply = b""
        self.as_event = False
        self._challenges: dict[str, str] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"guarded": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{self.origin}/mcp"

    def __enter__(self) -> Guarded:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def paths(self) -> list[str]:
        """Return the paths that were asked for."""
        return [path for _, path, _ in self.requests]

    def new_token(self) -> Object:
        token = f"token-{len(self.tokens) + 1}"
        self.tokens.add(token)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self.lifetime,
            "refresh_token": f"refresh-{len(self.tokens)}",
        }

    def authorize(self, query: Object) -> str:
        """Return the address to which the browser goes back."""
        code = f"code-{len(self._challenges) + 1}"
        self._challenges[code] = query["code_challenge"]
        said = {"error": "access_denied"} if self.is_closed else {"code": code}
        return f"{query['redirect_uri']}?{urlencode({**said, 'state': query['state']})}"

    def exchange(self, form: Object) -> Object | None:
        """Return tokens for a code or a refresh token, None for a wrong one."""
        if form["grant_type"] == "refresh_token":
            return None if self.is_closed else self.new_token()
        challenge = urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        return self.new_token() if self._challenges.get(form["code"]) == challenge else None


class Handler(BaseHTTPRequestHandler):
    """The answers of both servers."""

    guarded: Guarded

    def do_GET(self) -> None:
        self._note()
        parts, guarded = urlsplit(self.path), self.guarded
        if parts.path == "/mcp" or not guarded.has_login:
            return self._send(405 if parts.path == "/mcp" and self._is_known() else 404)
        if parts.path.startswith("/.well-known/oauth-protected-resource"):
            return self._send(200, {"resource": guarded.url, "authorization_servers": [f"{guarded.origin}/"]})
        if parts.path.startswith("/.well-known/oauth-authorization-server"):
            ends = {f"{name}_endpoint": f"{guarded.origin}/as/{name}" for name in ("authorization", "token")}
            registration = {"registration_endpoint": f"{guarded.origin}/as/register"}
            issuer = {"issuer": f"{guarded.origin}/", "response_types_supported": ["code"]}
            return self._send(200, {**ends, **registration, **issuer, "code_challenge_methods_supported": ["S256"]})
        if parts.path == "/as/authorization":
            self.send_response(302)
            self.send_header("Location", guarded.authorize(dict(parse_qsl(parts.query))))
            self.end_headers()
            return None
        return self._send(404)

    def do_POST(self) -> None:
        self._note()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/as/register":
            return self._send(201, {**json.loads(body), "client_id": "client-1"})
        if self.path == "/as/token":
            tokens = self.guarded.exchange({name: values[0] for name, values in parse_qs(body.decode()).items()})
            return self._send(400 if tokens is None else 200, tokens or {"error": "invalid_grant"})
        if not self._is_known():
            where = f'resource_metadata="{self.guarded.origin}/.well-known/oauth-protected-resource/mcp"'
            return self._send(401, {"error": "no"}, {"WWW-Authenticate": f"Bearer {where}"})
        return self._answer(json.loads(body))

    def do_DELETE(self) -> None:
        self._send(405)

    def _answer(self, request: Object) -> None:
        method, number = request["method"], request.get("id")
        if number is None:
            return self._send(202)
        greeting = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
        results: dict[str, Object] = {
            "initialize": {**greeting, "serverInfo": {"name": "guarded", "version": "1"}},
            "tools/list": {"tools": TOOLS},
            "tools/call": {"content": [{"type": "text", "text": self.headers["Authorization"]}]},
        }
        if method == "tools/call" and self.guarded.reply:
            return self._reply(self.guarded.reply.replace(b"ID", json.dumps(number).encode()))
        error = {"error": {"code": -32601, "message": "unknown"}}
        answer = {"result": results[method]} if method in results else error
        return self._send(200, {"jsonrpc": "2.0", "id": number, **answer})

    def _reply(self, data: bytes) -> None:
        as_event = self.guarded.as_event
        kind = "text/event-stream" if as_event else "application/json"
        self._send(200, b"event: message\ndata: " + data + b"\n\n" if as_event else data, {"Content-Type": kind})

    def _is_known(self) -> bool:
        return str(self.headers.get("Authorization", "")).removeprefix("Bearer ") in self.guarded.tokens

    def _note(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.guarded.requests.append((self.command, self.path, headers))

    def _send(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *values: Any) -> None:
        """Say nothing."""
