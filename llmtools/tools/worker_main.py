"""A child process that holds tools and runs their calls: `python -P -m llmtools.tools.worker_main FILE`.

It says its tools in one line, then reads calls and writes results, a line of JSON each:
    {"tools": [{"type": "tool", "name": "add", …}]}        or {"error": "…"}
    {"id": 1, "name": "add", "arguments": {"a": 1, "b": 2}, "max_output": 1048576}
    {"taken": 1}                the call is going to be run
    {"id": 1, "output": "3"}    with "exception" and "attachments" where there are some

Rules:
* Calls run side by side: a function in a thread of its own, a coroutine in the event loop.
* What a tool prints goes to stderr, and it reads nothing: the pipes are for the lines alone.
* A public function of the file is a tool; so is each public method of a public class that
  is called, or derived from, Toolbox, as Class_method, on one object for as long as the
  process lives. `__all__`, where the file has it, says what is public.
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
from .function import in_thread, methods_of, result_of, tool_record, values_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any, NoReturn

    Call = Callable[[str, dict[str, Any]], Awaitable[Result]]

THREADS = 256
"""The most calls that run at once."""
TURNS = 10
"""Turns of the event loop in which what came before a call is seen before it, such as the end of a server."""


class Channel:
    """The two pipes of the worker, taken away from what it runs."""

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
        """Tell the other side that nothing more comes; what is written later is lost."""
        with self._lock, open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), self._writer, inheritable=False)

    def read(self) -> dict[str, Any] | None:
        """Return the next line, None at the end."""
        line = self._reader.readline()
        return loads(line) if line else None


async def serve(channel: Channel, tools: list[Any], call: Call, over: asyncio.Event | None = None) -> None:
    """Say the tools, and run calls until no more come, or until `over`."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS))
    reader = ThreadPoolExecutor(1)  # its own: no number of calls keeps it from reading
    channel.write({"tools": tools})
    running: set[asyncio.Task[None]] = set()
    over = over or asyncio.Event()
    end = asyncio.create_task(over.wait())
    while True:
        read = loop.run_in_executor(reader, channel.read)
        first: set[asyncio.Future[Any]] = {read, end}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        if over.is_set() or (asked := read.result()) is None:
            break
        channel.write({"taken": asked["id"]})
        task = asyncio.create_task(_answer(channel, asked, call))
        running.add(task)
        task.add_done_callback(running.discard)
    if over.is_set():
        if running:  # what was being answered has failed with what is over: let it be told
            await asyncio.wait(running, timeout=1)
        channel.close()


async def _answer(channel: Channel, asked: dict[str, Any], call: Call) -> None:
    try:
        result = await call(asked["name"], asked["arguments"])
    except BaseException as error:  # SystemExit, too, must not leave a call without its result
        result = Result(exception=describe_exception(error))
    result = result.cut(asked["max_output"])
    said: dict[str, Any] = {"id": asked["id"], "output": result.output}
    if result.exception is not None:
        said["exception"] = result.exception
    if result.attachments:
        said["attachments"] = result.attachments
    try:
        channel.write(said)
    except InputError as error:
        channel.write({"id": asked["id"], "output": "", "exception": error.message})


# Functions of a file


def functions_of(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """Return the functions of a module that are tools, by name."""
    listed = getattr(module, "__all__", None)
    found: dict[str, Callable[..., Any]] = {}
    for name, value in list(vars(module).items()):
        is_public = name in listed if listed is not None else not name.startswith("_")
        if not is_public or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(value):
            found[name] = value
        elif inspect.isclass(value) and any(base.__name__ == "Toolbox" for base in value.__mro__[1:]):
            found.update(methods_of(value()))
    return found


def caller(functions: dict[str, Callable[..., Any]]) -> Call:
    """Return what runs one of the functions by its name."""

    async def call(name: str, arguments: dict[str, Any]) -> Result:
        function = functions[name]
        return result_of(await in_thread(function, **values_of(function, arguments)))

    return call


def load(path: str) -> ModuleType:
    """Return the module that a file of Python is; its own folder is searched for what it imports."""
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
    """Hold the functions of a file."""
    channel = Channel()

    async def hold(functions: dict[str, Callable[..., Any]]) -> NoReturn:
        tools = [tool_record(function, name) for name, function in functions.items()]
        await serve(channel, tools, caller(functions))
        os._exit(0)  # a thread that hangs holds nothing up

    try:
        asyncio.run(hold(functions_of(load(path))))
    except BaseException as error:  # sys.exit in the file, too
        channel.write({"error": describe_exception(error)})


if __name__ == "__main__":
    main(sys.argv[1])
    os._exit(0)
