"""A small web site on 127.0.0.1, and a proxy that speaks SOCKS 5."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from support.harness import LIMIT
from support.server import Proxy

Page = tuple[int, dict[str, str], bytes]


class Site:
    """`url`: its address. `agents`: the user agents of its visitors."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.agents: list[str] = []


@contextmanager
def serving(pages: dict[str, Page]) -> Iterator[Site]:
    """Serve pages (status, headers, body) by their paths; 404 elsewhere."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.agents.append(self.headers.get("User-Agent", ""))
            status, headers, body = pages.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = Site(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join(LIMIT)
        server.server_close()
    assert not thread.is_alive()


class SocksProxy(Proxy):
    """A proxy that speaks SOCKS 5 (RFC 1928). `asked`: the (host, port) of each connection. With `user`, a
    (name, password), it lets in nobody else (RFC 1929)."""

    def __init__(self, hosts: dict[str, int], user: tuple[str, str] | None = None) -> None:
        super().__init__(hosts)
        self.asked: list[tuple[str, int]] = []
        self._user = user

    def serve(self, connection: socket.socket) -> None:
        """Make the connection that a client asks for."""
        connection.settimeout(LIMIT)
        with connection.makefile("rb") as lines:
            methods = lines.read(lines.read(2)[1])
            method = 2 if self._user else 0
            if method not in methods:
                return connection.sendall(b"\x05\xff")
            connection.sendall(bytes((5, method)))
            if self._user is not None:
                name = lines.read(lines.read(2)[1]).decode()
                password = lines.read(lines.read(1)[0]).decode()
                connection.sendall(b"\x01\x00" if (name, password) == self._user else b"\x01\x01")
            *_, kind = lines.read(4)
            host = lines.read(lines.read(1)[0]).decode() if kind == 3 else socket.inet_ntoa(lines.read(4))
            port = int.from_bytes(lines.read(2))
        self.asked.append((host, port))
        if host not in self._hosts:
            return connection.sendall(b"\x05\x04\x00\x01" + bytes(6))
        with socket.create_connection(("127.0.0.1", self._hosts[host]), LIMIT) as upstream:
            connection.sendall(b"\x05\x00\x00\x01" + bytes(6))
            self._pump(connection, upstream)
        return None
