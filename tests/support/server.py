"""Servers of the project's own, on real sockets of 127.0.0.1: one that answers as it is told,
and a small HTTP proxy. Also the bytes of Chat Completions answers.

An answer is a list of steps: bytes are sent, a number of seconds or an Event is waited for, FIN
closes our side, RST breaks the connection off. One that ends with neither holds the connection open,
for the next request or until the client closes. Answers are given in the order of the
requests; where they are used up the answer is 400, which nobody asks for again.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self

import trustme

LIMIT = 30.0
"""Seconds after which nothing is waited for any more."""
TICK = 0.02


class Close(Enum):
    FIN = "our side is closed, the client's is read on"
    RST = "the connection is broken off"


FIN, RST = Close.FIN, Close.RST
Step = bytes | float | threading.Event | Close
Answer = list[Step]


@dataclass
class Received:
    """A request as it came. `closed` is when the client closed the connection after it."""

    head: bytes
    body: bytes
    at: float
    closed: float | None = None
    sent: int = 0

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n")[0].decode()

    @property
    def path(self) -> str:
        return self.line.split()[1]

    @property
    def headers(self) -> dict[str, str]:
        """The headers, names in lower case."""
        fields = [line.decode().partition(":") for line in self.head.split(b"\r\n")[1:] if line]
        return {name.lower(): value.strip() for name, _, value in fields}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Peer:
    """A connection as it is read: `is_closed` once the other side closed it."""

    socket: socket.socket
    data: bytearray = field(default_factory=bytearray)
    is_closed: bool = False

    def read(self, seconds: float = TICK) -> None:
        """Take what comes within some seconds."""
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(1 << 20)
        except (TimeoutError, ssl.SSLWantReadError):
            return
        except OSError:
            data = b""
        self.is_closed = not data
        self.data += data

    def send(self, data: bytes) -> None:
        self.socket.settimeout(LIMIT)
        self.socket.sendall(data)


class Listener:
    """Accepts connections on a port of 127.0.0.1, and serves each in a thread of its own.

    `connections` counts them, `bytes_in` what they brought; a subclass says what `serve` does.
    """

    def __init__(self, backlog: int = 16) -> None:
        self.connections = 0
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._stop = threading.Event()
        self.lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.port: int = self._listening.getsockname()[1]

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(LIMIT)
        self._listening.close()
        for opened in self._sockets:
            opened.close()
        assert not any(thread.is_alive() for thread in self._threads), "a thread of the server hangs"

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set()

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def _spawn(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.is_stopping:
            if select.select([self._listening], [], [], TICK)[0]:
                connection, _ = self._listening.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                self._sockets.append(connection)
                self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client left: the tests look at what it left behind
            self.serve(connection)
        connection.close()

    def request(self, peer: Peer) -> Received | None:
        """Return the next request of a connection, None where the client closed it."""
        while b"\r\n\r\n" not in peer.data and not peer.is_closed and not self.is_stopping:
            peer.read()
        if b"\r\n\r\n" not in peer.data:
            return None
        head, _, peer.data = peer.data.partition(b"\r\n\r\n")
        received = Received(bytes(head), b"", time.monotonic())
        length = int(received.headers.get("content-length", "0"))
        while len(peer.data) < length and not peer.is_closed and not self.is_stopping:
            peer.read()
        received.body, peer.data = bytes(peer.data[:length]), peer.data[length:]
        return received

    def wait(self, peer: Peer, until: float) -> None:
        """Wait until a time comes, the client closes, or says more."""
        while (left := until - time.monotonic()) > 0 and not (peer.is_closed or peer.data or self.is_stopping):
            peer.read(min(left, TICK))


class Server(Listener):
    """Answers requests with the given answers; `requests` are those that came."""

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None, backlog: int = 16) -> None:
        super().__init__(backlog)
        self.requests: list[Received] = []
        self.handshakes_failed = 0
        self.answers = list(answers)
        self._tls = tls

    @property
    def origin(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """What --base-url takes."""
        return f"{self.origin}/v1"

    @property
    def only(self) -> Received:
        """The one request that came."""
        assert len(self.requests) == 1, [received.line for received in self.requests]
        return self.requests[0]

    def serve(self, connection: socket.socket) -> None:
        if self._tls is None:
            self._talk(Peer(connection))
            return
        connection.settimeout(LIMIT)
        try:
            secured = self._tls.wrap_socket(connection, server_side=True)
        except OSError:
            self.handshakes_failed += 1
            return
        with secured:
            self._talk(Peer(secured))

    def _talk(self, peer: Peer) -> None:
        while (received := self.request(peer)) is not None:
            with self.lock:
                self.requests.append(received)
                answer = self.answers.pop(0) if self.answers else whole(400, {"error": "no answer is left"})
            try:
                self._answer(peer, received, answer)
                self.wait(peer, time.monotonic() + LIMIT)
            except OSError:
                peer.is_closed = True
            if peer.is_closed:
                received.closed = time.monotonic()

    def _answer(self, peer: Peer, received: Received, answer: Answer) -> None:
        for step in answer:
            if peer.is_closed or self.is_stopping:
                return
            if isinstance(step, bytes):
                self._send(peer, received, step)
            elif step is FIN:
                peer.socket.shutdown(socket.SHUT_WR)
            elif step is RST:
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.socket.close()
                return
            elif isinstance(step, threading.Event):
                step.wait(LIMIT)
            elif isinstance(step, float | int):
                self.wait(peer, time.monotonic() + step)

    def _send(self, peer: Peer, received: Received, data: bytes) -> None:
        for start in range(0, len(data), 1 << 16):
            piece = data[start : start + (1 << 16)]
            while not self.is_stopping and not select.select([], [peer.socket], [], TICK)[1]:
                pass
            if self.is_stopping:
                return
            peer.send(piece)
            received.sent += len(piece)

    def wait_for_close(self) -> float:
        """Return when the client closed the connection of the last request."""
        until = time.monotonic() + LIMIT
        while time.monotonic() < until:
            if self.requests and (closed := self.requests[-1].closed) is not None:
                return closed
            time.sleep(TICK)
        raise AssertionError("the client never closed its connection")

    def wait_for_request(self, count: int = 1) -> None:
        until = time.monotonic() + LIMIT
        while len(self.requests) < count:
            assert time.monotonic() < until, f"request {count} never came"
            time.sleep(TICK)


class Proxy(Listener):
    """A forward proxy: absolute-form requests for http, CONNECT for https.

    `hosts` says which port of this machine a host name means; `requests` are the heads it
    saw, `seen` every byte that clients sent it.
    """

    def __init__(self, hosts: dict[str, int]) -> None:
        super().__init__()
        self.requests: list[Received] = []
        self.seen = b""
        self._hosts = hosts

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        peer = Peer(connection)
        received = self.request(peer)
        if received is None:
            return
        self.requests.append(received)
        self.seen += received.head + received.body
        method, target, _ = received.line.split()
        host = target if method == "CONNECT" else target.removeprefix("http://").partition("/")[0]
        port = self._hosts.get(host.partition(":")[0])
        if port is None:
            peer.send(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", port), LIMIT) as upstream:
            if method == "CONNECT":
                peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = "/" + target.removeprefix("http://").partition("/")[2]
                head = received.head.replace(target.encode(), path.encode(), 1)
                upstream.sendall(head + b"\r\n\r\n" + received.body)
            self._pump(connection, upstream)

    def _pump(self, client: socket.socket, upstream: socket.socket) -> None:
        client.settimeout(LIMIT)
        while not self.is_stopping:
            for source in select.select([client, upstream], [], [], TICK)[0]:
                data = source.recv(1 << 16)
                if not data:
                    return
                if source is client:
                    self.seen += data
                    upstream.sendall(data)
                else:
                    client.sendall(data)


def tls_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """What a server needs to say that it is `names`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@contextlib.contextmanager
def full_port() -> Iterator[int]:
    """A port whose queue of connections is full: a further one is never made."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


def closed_port() -> int:
    """A port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


# The bytes of answers


def head(status: int | str = 200, **headers: str | int) -> bytes:
    """The head of an answer; by default of a stream that ends when the connection does."""
    fields = {"content_type": "text/event-stream", **headers}
    lines = [f"HTTP/1.1 {status}" if isinstance(status, str) else f"HTTP/1.1 {status} Status"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def whole(status: int, body: Any, **headers: str | int) -> Answer:
    """An answer in one piece: `body` as JSON, or bytes as they are. The connection stays open."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"content_type": "application/json", "content_length": len(data), **headers}
    return [head(status, **fields) + data]


def failing(status: int, message: str = "no", code: str | None = None, **headers: str | int) -> Answer:
    """An error as OpenAI writes it."""
    return whole(status, {"error": {"message": message, "type": "error", "code": code}}, **headers)


def event(data: Any) -> bytes:
    """A server-sent event of JSON, or of bytes as they are."""
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def chunk(delta: dict[str, Any] | None = None, **choice: Any) -> bytes:
    """A chunk of a reply, as an event."""
    choices = [{"index": 0, "delta": delta or {}, "finish_reason": None, **choice}]
    return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "tiny-1", "choices": choices})


DONE = event(b"[DONE]")
USAGE = event(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": "tiny-1",
        "choices": [],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
)


def said(*texts: str) -> bytes:
    """The chunks of some texts, the role before them."""
    return chunk({"role": "assistant", "content": ""}) + b"".join([chunk({"content": text}) for text in texts])


def called(*arguments: str) -> bytes:
    """The chunks of a tool call whose arguments come in some pieces."""
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "add", "arguments": ""}}
    rest = [{"index": 0, "function": {"arguments": piece}} for piece in arguments]
    return b"".join([chunk({"tool_calls": [call]}) for call in (first, *rest)])


def ended(finish: str = "stop") -> bytes:
    """What stands at the end of a stream."""
    return chunk(finish_reason=finish) + USAGE + DONE


def reply(*texts: str) -> Answer:
    """A good answer, as a stream."""
    return [head() + said(*texts) + ended(), FIN]


def completion(text: str, **more: Any) -> dict[str, Any]:
    """The body of a good answer to a request for no stream."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "tiny-1",
        "choices": [choice],
        "usage": usage,
        **more,
    }


def chunked(data: bytes) -> bytes:
    """One piece of a body with `transfer-encoding: chunked`."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def ask(server: Server | str, options: str = "", model: str = "tiny") -> str:
    """The script that asks a server (or a base URL) one thing."""
    url = server if isinstance(server, str) else server.url
    return f"llm-msg -n user hi | llm-send --base-url {url} -m {model} {options}"
