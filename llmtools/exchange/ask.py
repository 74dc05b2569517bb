"""Conversation to events: the one path to a model.

Rules:
* The model is the one asked for, that of the last reply, or the default, in this order.
* Nothing is sent of a stream that has failed, unless that is asked for; then its incomplete
  calls are dropped, each with a notice.
"""

from __future__ import annotations

import os

from ..attachment import inlined
from ..errors import (
    InputError,
    NoInputError,
    NoModelError,
    from_record,
)
from ..protocols.request import Request, Target
from ..providers.names import is_built_in
from ..records.conversation import (
    Conversation,
    is_paused,
    matched,
    unanswered,
)
from .exchange import Exchange, notice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from ..protocols.request import Endpoint, Secret
    from ..records.types import Message, Part, Record

    Provider = Callable[[Conversation, Request], Iterator[Any]]


def target_of(model: str, key: Secret | None = None) -> Target:
    """Return what a model's name means: what is built in, or a provider's model, with `key` or
    the key that is found for it.

    Raises NoModelError, NoKeyError, ConfigError.
    """
    if is_built_in(model):
        return Target(model, model)
    from ..providers.resolve import resolve

    return resolve(model, key)


def choose_model(asked: str | None, conversation: Conversation, *, is_elsewhere: bool = False) -> str:
    """Return the model to use: the one asked for, else that of the last reply, else that of
    LLMTOOLS_MODEL, else the configured one, but for a server that is no provider's.

    Raises NoModelError where none is named, or where the stream names one that only the
    user may choose: a file of this machine or an address.
    """
    name = asked or conversation.model or os.environ.get("LLMTOOLS_MODEL")
    if not name and not is_elsewhere:
        from ..providers.config import read

        name = read().default_model
    if not name:
        raise NoModelError("no model: name one with -m, LLMTOOLS_MODEL, or llm-models default MODEL")
    if not asked and name == conversation.model and (name.startswith(("replay/", "gguf/")) or "://" in name):
        raise NoModelError(f"the stream names {name}, which is never taken from a stream: name it with -m")
    return name


def _without(message: Message, calls: list[Part]) -> Message:
    dropped = {call["tool_call_id"] for call in calls}
    parts = [
        part
        for place, part in enumerate(message["parts"])
        if part["type"] != "tool_call" or part.get("tool_call_id", f"~{place}") not in dropped
    ]
    return {**message, "parts": parts}


def repair(messages: list[Message]) -> tuple[list[Message], list[Record]]:
    """Return the messages without the unanswered calls of failed replies, and a notice for each."""
    repaired: list[Message] = []
    notices: list[Record] = []
    for place, message in enumerate(messages):
        if message["role"] == "assistant" and message.get("response", {}).get("status", "ok") != "ok":
            calls = unanswered(messages, place)
            notices += [notice("dropped_call", f"dropped the incomplete call of {call['name']}") for call in calls]
            message = _without(message, calls)
        repaired.append(message)
    return repaired, notices


def prepare(
    conversation: Conversation, *, anyway: bool = False, prefill: bool = False
) -> tuple[Conversation, list[Record]]:
    """Return the conversation as it is to be sent, and notices of what was changed.

    Raises the stream's own failure unless `anyway`; NoInputError where there is nothing to
    answer; InputError where it ends with the model's message, unless `prefill`, and where
    an attachment is not the file it says.
    """
    failure = conversation.failure
    if failure is not None and not anyway:
        raise from_record(failure)
    messages, notices = repair(conversation.messages) if anyway else (conversation.messages, [])
    said = [message for message in messages if message["parts"]]
    if not said:
        raise NoInputError("no message to answer in the stream")
    if said[-1]["role"] == "assistant" and not prefill and not is_paused(said[-1]):
        raise InputError("the conversation ends with the model's message (--prefill to have it continued)")
    whole = Conversation([*conversation.tools.values(), *inlined(matched(messages))])  # type: ignore[list-item]
    return whole, notices


def stream(
    conversation: Conversation | Iterable[Mapping[str, Any]],
    model: str | None = None,
    *,
    endpoint: Endpoint | None = None,
    options: dict[str, Any] | None = None,
    anyway: bool = False,
    prefill: bool = False,
) -> Iterator[Record]:
    """Send a conversation; yield the records of the response as they come.

    `model` is a name such as "echo" or "openai/gpt-5.5"; without it the model of the last reply
    is used, then the default. At an `endpoint` (see `llmtools.providers.names.at`) it is what the
    server calls it.
    Raises what `prepare` raises, NoModelError, NoKeyError and ConfigError before the first record, and after the
    last one the error with which the response ended.

        for event in llmtools.stream([llmtools.user("hi")], model="echo"):
            if event["type"] == "text":
                print(event["chunk"], end="")
    """
    if not isinstance(conversation, Conversation):
        conversation = Conversation({**message, "type": "message"} for message in conversation)
    prepared, notices = prepare(conversation, anyway=anyway, prefill=prefill)
    name = choose_model(model, conversation, is_elsewhere=endpoint is not None)
    target = target_of(name) if endpoint is None else Target(name, name, endpoint)
    request = target.request(**conversation.asked(options or {}))
    exchange: Exchange | None = Exchange(prepared, request, target.endpoint)
    yield from notices
    while exchange is not None:
        for batch in exchange.batches():
            yield from batch
        if exchange.failure is not None:
            raise exchange.failure
        exchange = exchange.continued()
