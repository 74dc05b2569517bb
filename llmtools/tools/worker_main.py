"""A child process that runs the functions of a Python file: `python -P -m llmtools.tools.worker_main FILE`.

It lists its tools in the first line, then reads calls and writes replies, a line of JSON each:
    {"tools": [{"type": "tool", "name": "add", …}], "notices": ["…"]}
    {"error": "…", "code": "no_key"}                       in its place; the code is one of `errors`
    {"id": 1, "name": "add", "arguments": {"a": 1, "b": 2}, "max_output": 1048576}
    {"taken": 1}                the call is about to run
    {"login": {…}}              for the parent to keep (see `logins`)
    {"id": 1, "output": "3"}    with "exception" and "attachments" if there are any

Rules:
* Calls run side by side: a function in a thread, a coroutine in the event loop.
* stdin and stdout belong to the protocol: the stdout of a tool goes to stderr, its stdin is empty.
* Each public function of the file is a tool. So is each public method, as Class_method, of a public
  class derived from Toolbox; one object of the class serves for the life of the process. If the
  file has `__all__`, that lists the public names.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import ModuleType

from ..errors import InputError
from ..records.jsonl import dumps, loads
from .calls import Result, describe_exception
from .function import call_async, methods_of, record_and_notices, result_of, values_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Any, NoReturn

    from ..records.types import ToolRecord

    RunCall = Callable[[str, dict[str, Any]], Awaitable[Result]]

MAX_THREADS = 256
"""The most calls that run at once."""
LOOP_TURNS = 10
"""How many turns of the event loop run before a call is taken, so that earlier events are handled
first, such as the end of a server."""


class Channel:
    """The stdin and stdout of the process, moved out of reach of the tools."""

    def __init__(self) -> None:
        self._reader = os.fdopen(os.dup(0), "rb")
        self._writer = os.dup(1)
        self._lock = threading.Lock()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(2, 1)
        sys.stdout = sys.stderr

    def write(self, value: dict[str, Any]) -> None:
        """Write a line."""
        data = memoryview(dumps(value) + b"\n")
        with self._lock, suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._writer, data) :]

    def close(self) -> None:
        """Close the parent's end of the output. Later lines are lost."""
        with self._lock, open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), self._writer, inheritable=False)

    def read(self) -> dict[str, Any] | None:
        """Return the next line, None at the end."""
        line = self._reader.readline()
        return loads(line) if line else None


async def serve(
    channel: Channel,
    tools: list[Any],
    run_call: RunCall,
    over: asyncio.Event | None = None,
    notices: Sequence[str] = (),
) -> None:
    """List the tools, then run calls until the input ends or `over` is set. notices: for the user."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(MAX_THREADS))
    reader = ThreadPoolExecutor(1)  # a thread of its own, so that calls cannot keep it from reading
    channel.write({"tools": tools, "notices": list(notices)})
    running: set[asyncio.Task[None]] = set()
    over = over or asyncio.Event()
    end = asyncio.create_task(over.wait())
    while True:
        read = loop.run_in_executor(reader, channel.read)
        first: set[asyncio.Future[Any]] = {read, end}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        for _ in range(LOOP_TURNS):
            await asyncio.sleep(0)
        if over.is_set() or (call := read.result()) is None:
            break
        channel.write({"taken": call["id"]})
        task = asyncio.create_task(_answer(channel, call, run_call))
        running.add(task)
        task.add_done_callback(running.discard)
    if over.is_set():
        if running:  # the running calls have failed with the server: let them write their results
            await asyncio.wait(running, timeout=1)
        channel.close()


async def _answer(channel: Channel, call: dict[str, Any], run_call: RunCall) -> None:
    try:
        result = await run_call(call["name"], call["arguments"])
    except BaseException as error:  # after SystemExit, too, the call needs its result
        result = Result(exception=describe_exception(error))
    result = result.truncate(call["max_output"])
    reply: dict[str, Any] = {"id": call["id"], "output": result.output}
    if result.exception is not None:
        reply["exception"] = result.exception
    if result.attachments:
        reply["attachments"] = result.attachments
    try:
        channel.write(reply)
    except InputError as error:
        channel.write({"id": call["id"], "output": "", "exception": error.message})


# Functions of a file


def functions_of(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """Return the functions and methods of a module that are tools, by name."""
    public = getattr(module, "__all__", None)
    functions: dict[str, Callable[..., Any]] = {}
    for name, value in list(vars(module).items()):
        is_public = name in public if public is not None else not name.startswith("_")
        if not is_public or getattr(value, "__module__", None) != module.__name__:
            continue
        if callable(value) and inspect.isfunction(inspect.unwrap(value)):  # functools.cache and the like wrap it
            functions[name] = value
        elif inspect.isclass(value) and any(base.__name__ == "Toolbox" for base in value.__mro__[1:]):
            functions.update(methods_of(value()))
    return functions


def describe_tools(functions: dict[str, Callable[..., Any]]) -> tuple[list[ToolRecord], list[str]]:
    """Return the records of the functions that a model can call, and notices about the others.

    Raises InputError if there are only others.
    """
    records: list[ToolRecord] = []
    notices: list[str] = []
    failure: InputError | None = None
    for name, function in functions.items():
        try:
            record, about = record_and_notices(function, name)
        except InputError as error:
            failure = error
            notices.append(f"{error.message}: it is left out")
        else:
            records.append(record)
            notices += about
    if failure is not None and not records:
        raise failure
    return records, notices


def make_caller(functions: dict[str, Callable[..., Any]]) -> RunCall:
    """Return a function that runs a call of one of the functions."""

    async def run_call(name: str, arguments: dict[str, Any]) -> Result:
        function = functions[name]
        return result_of(await call_async(function, **values_of(function, arguments)))

    return run_call


def load_module(path: str) -> ModuleType:
    """Load a Python file as a module, with the directory of the file first on `sys.path`."""
    name = os.path.splitext(os.path.basename(path))[0]
    module = ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec")
    exec(code, vars(module))  # noqa: S102  # the user has named this file
    return module


def main(path: str) -> None:
    """Serve the functions of a file."""
    channel = Channel()

    async def serve_functions(functions: dict[str, Callable[..., Any]]) -> NoReturn:
        tools, notices = describe_tools(functions)
        await serve(channel, tools, make_caller(functions), None, notices)
        os._exit(0)  # do not wait for threads that hang

    try:
        asyncio.run(serve_functions(functions_of(load_module(path))))
    except BaseException as error:  # sys.exit in the file, too
        channel.write({"error": describe_exception(error)})


if __name__ == "__main__":
    main(sys.argv[1])
    os._exit(0)
