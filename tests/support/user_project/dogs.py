"""A program of a user's: asks a model with tools, streams in asyncio, stores the turn in SQLite and
goes on with it in another process.

    python dogs.py ask URL DATABASE PROMPT      prints the events as they come, stores the turn
    python dogs.py resume URL DATABASE          runs its calls, prints the reply, stores that
    python dogs.py usage DATABASE               prints what all turns took
"""

import asyncio
import json
import sqlite3
import sys
from dataclasses import dataclass
from typing import Literal

import llmtools
from llmtools.errors import KeyRefusedError, LlmToolsError, TryLaterError
from llmtools.http.request import Limits


@dataclass
class Dog:
    name: str
    bio: str


class Kennel(llmtools.Toolbox):
    """The dogs that the model has described."""

    def __init__(self) -> None:
        self.dogs: list[Dog] = []

    def describe(self, name: str, bio: str, size: Literal["small", "big"] = "big") -> str:
        """Record the name and biography of a dog."""
        self.dogs.append(Dog(name, bio))
        return f"{name} ({size}): {bio}"

    async def count(self) -> int:
        """How many dogs there are."""
        await asyncio.sleep(0)
        return len(self.dogs)


class Store:
    """The turns, one JSON text each."""

    def __init__(self, path: str) -> None:
        self.connection = sqlite3.connect(path)
        self.connection.execute("create table if not exists turn (id integer primary key, response text not null)")

    def put(self, response: dict[str, object]) -> None:
        with self.connection:
            self.connection.execute("insert into turn (response) values (?)", (json.dumps(response),))

    def all(self) -> list[dict[str, object]]:
        rows: list[tuple[str]] = self.connection.execute("select response from turn order by id").fetchall()
        return [json.loads(text) for (text,) in rows]

    def close(self) -> None:
        self.connection.close()


def model_at(url: str) -> llmtools.AsyncModel:
    return llmtools.get_async_model("m", base_url=url, protocol="openai-chat", key="k")


def checked_call(tool: llmtools.Tool | None, call: llmtools.ToolCall) -> None:
    if tool is None or "forbidden" in call.arguments.values():
        raise llmtools.CancelToolCall(f"{call.name} may not be called so")


async def show(response: llmtools.AsyncResponse) -> None:
    """Print the events as they come."""
    async for event in response.astream_events():
        if event.type == "text":
            print(event.chunk, end="", flush=True)
        elif event.type == "tool_call_name":
            print(f"[{event.chunk}", end=" ")
        elif event.type == "tool_call_args":
            print(event.chunk, end="]")
    print()


async def ask(url: str, store: Store, prompt: str) -> None:
    image = llmtools.Attachment(content=b"\x89PNG\r\n\x1a\n")
    response = model_at(url).prompt(
        messages=[llmtools.system("Be brief"), llmtools.user("Look at this", image), llmtools.assistant("A dog.")],
        prompt=prompt,
        tools=[Kennel()],
        temperature=0.5,
        options={"seed": 7},
        limits=Limits(total=60, retries=1),
    )
    await show(response)
    store.put(await response.to_dict())


async def resume(url: str, store: Store) -> None:
    stored = llmtools.AsyncResponse.from_dict(store.all()[-1], model=model_at(url))
    kennel = Kennel()
    results = await stored.execute_tool_calls(tools=[kennel], before_call=checked_call)
    for result in results:
        print(result.name, result.output)
    reply = await stored.reply("Tell me about them", tool_results=results, tools=[kennel])
    await show(reply)
    usage: llmtools.Usage = await reply.usage()
    print(kennel.dogs, usage.output, reply.finish_reason)
    store.put(await reply.to_dict())


def main(arguments: list[str]) -> int:
    """Return 0, or what went wrong: 75 is worth another try."""
    command, *rest = arguments
    store = Store(rest[0] if command == "usage" else rest[1])
    try:
        if command == "ask":
            asyncio.run(ask(rest[0], store, rest[2]))
        elif command == "resume":
            asyncio.run(resume(rest[0], store))
        else:
            echo = llmtools.get_model("echo")
            turns = [llmtools.Response.from_dict(turn, model=echo) for turn in store.all()]
            print(sum(turn.usage().output or 0 for turn in turns), [message.role for message in turns[-1].messages()])
    except KeyRefusedError as error:
        print(f"the key: {error.message}", file=sys.stderr)
        return error.exit_status
    except TryLaterError as error:
        print(f"later: {error.message}", file=sys.stderr)
        return error.exit_status
    except LlmToolsError as error:
        print(f"failed: {error.message}", file=sys.stderr)
        return 1
    finally:
        store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
