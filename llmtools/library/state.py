"""The state of a response: what came of a prompt so far.

Rules:
* The running request refers to the state, not to the response, so that dropping the last reference
  to a response closes its connection at once.
* A response that is given up (closed, or its task was cancelled) has failed, and keeps what came.
* The ids of calls that the model gave none (`~N`, the Nth part) hold for one message; here each gets one
  that is its own in every conversation.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..errors import (
    CancelledError,
    InputError,
    LlmToolsError,
    from_record,
)
from ..exchange.ask import dropped_option_notices, ready_to_send
from ..exchange.exchange import Exchange
from ..records.build import deep_copy
from ..records.check import check_record
from ..records.conversation import Conversation, text_of, total_usage
from ..records.fold import events_of
from .calls import ToolCall, ToolResult
from .files import Attachment
from .messages import Event, Message, Usage
from .own_reply import OwnReply
from .parts import Part
from .toolbox import Tools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..http.request import Want
    from ..protocols.request import Request
    from ..records.types import ErrorRecord
    from .model_ref import ModelRef
    from .prompt import Prompt
    from .toolbox import Given


GIVEN_UP = "the response was given up before its end"


class ResponseState:
    """What came of a prompt so far. Nothing here waits."""

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt
        self.is_done: bool = False
        self.events: list[Event] = []
        self.messages: list[Message] = []
        self.error: LlmToolsError | None = None
        self.own_reply = OwnReply()
        self.items: Callable[[], Any] | None = None
        """What calls `execute`, for a model of one's own."""
        self.stored: dict[str, Any] = {}
        """id, usage and datetime_utc of a dict of another library's, whose messages do not have them."""
        self._id_prefix = "~"

    def exchange(self) -> Exchange:
        """Return the exchange that asks the model. Raises what `ready_to_send` and `Prompt.request` raise."""
        prepared, notices = ready_to_send(self.prompt.conversation())
        names = self.prompt.conversation().dropped_options()
        notices += dropped_option_notices(name for name in names if name not in self.prompt.options)
        self.events += [Event.from_dict(notice) for notice in notices]
        request, endpoint = self.prompt.request()
        return Exchange(prepared, request, endpoint, self.prompt.limits, play=self._play if self.items else None)

    def _play(self, conversation: Conversation, request: Request) -> Iterator[Want]:
        """Yield the wants of a model of one's own, which reads its prompt and not the request."""
        items = self.items() if self.items else ()
        return self.own_reply.wants(items if hasattr(items, "__anext__") else iter(items))

    def add_records(self, records: list[dict[str, Any]]) -> None:
        """Add the events among the records that came."""
        for record in records:
            if record["type"] == "start":
                self._id_prefix = f"~{os.urandom(6).hex()}."
            if record["type"] == "message":
                parts = [self._with_own_id(part) for part in record["parts"]]
                self.messages.append(Message.from_dict({**record, "parts": parts}))
            else:
                self.events.append(Event.from_dict(self._with_own_id(record)))

    def _with_own_id(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return an event or a part with an id of our own for a call that has none of the model's."""
        call_id = record.get("tool_call_id") or ""
        return {**record, "tool_call_id": self._id_prefix + call_id[1:]} if call_id.startswith("~") else record

    def end(self, exchange: Exchange) -> None:
        """Take how the exchange ended; one that is not over is cancelled."""
        self.add_records(exchange.cancel(CancelledError(GIVEN_UP)))
        self.error = exchange.failure

    def give_up(self, exchange: Exchange | None) -> None:
        """End the response from outside."""
        self.is_done = True
        if exchange is None:
            self.error = self.error or CancelledError(GIVEN_UP)
        else:
            self.end(exchange)

    def check(self) -> None:
        """Raise the error of a response that failed."""
        if self.error is not None:
            raise self.error

    def copies(self) -> list[Message]:
        """Return copies of the messages."""
        return [Message.from_dict(deep_copy(message)) for message in self.messages]

    def text(self) -> str:
        """Return the text; where the model separates commentary from answer, the answer."""
        return "".join([text_of(message) for message in self.messages])  # type: ignore[arg-type]

    def parts(self, kind: str) -> list[Part]:
        """Return the parts of a type."""
        return [part for message in self.messages for part in message.parts if part.type == kind]

    def calls(self) -> list[ToolCall]:
        """Return the calls that have no result yet."""
        return pending_calls(Conversation(self.messages))

    def attachments(self) -> list[Attachment]:
        """Return the files that the model made."""
        return [Attachment.from_dict(part["attachment"]) for part in self.parts("attachment") if "attachment" in part]

    def response(self) -> dict[str, Any]:
        """Return the `response` of the last message, {} where it has none."""
        return dict(self.messages[-1].get("response", {})) if self.messages else {}

    def identity(self) -> str | None:
        """Return the id of the response."""
        return self.response().get("id") or self.stored.get("id")

    def start_time(self) -> str | None:
        """Return the time of the response, as RFC 3339 text."""
        return self.response().get("created") or self.stored.get("datetime_utc")

    def milliseconds(self) -> int:
        """Return how long the response took, 0 where it is not known."""
        return int(1000 * self.response().get("timing", {}).get("total", 0))

    def usage(self) -> Usage:
        """Return the tokens of all its messages, or those that are known of it otherwise."""
        total: Any = self.own_reply.usage or total_usage(self.messages) or self.stored.get("usage") or {}
        return Usage(total.get("input"), total.get("output"), total.get("details") or {})

    def json(self) -> Any:
        """Return the answer, checked against its schema. Without a schema return the last message with its
        `response`. Raises InputError."""
        from ..schema import parse_answer

        self.check()
        if self.own_reply.json is not None:
            return self.own_reply.json
        schema = self.prompt.answer_settings["schema"]
        if schema is not None:
            return parse_answer(self.text(), schema)
        return self.messages[-1].to_dict() if self.messages else {}

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        response, usage = {**self.stored, **self.response()}, self.usage()
        counts: dict[str, Any] = {"input": usage.input, "output": usage.output, "details": usage.details}
        fields = {
            "model": self.prompt.model.model_id,
            "prompt": self.prompt.to_dict(),
            "messages": [message.to_dict() for message in self.messages],
        }
        rest: dict[str, Any] = {
            "id": self.identity(),
            "usage": {name: value for name, value in counts.items() if value not in (None, {})},
            "datetime_utc": self.start_time(),
            "finish_reason": response.get("finish_reason"),
            "status": response.get("status"),
            "error": None if self.error is None else self.error.to_record(),
        }
        return fields | {name: value for name, value in rest.items() if value}

    def records(self) -> list[dict[str, Any]]:
        """Return the conversation with the reply, or its failure, as the records of a stream."""
        records = [*self.prompt.offered.records.values(), *self.prompt.history, *self.messages]
        failure = [dict(self.error.to_record())] if self.error is not None and not self.messages else []
        return [deep_copy(record) for record in (*records, *failure)]

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], model: ModelRef | None, model_of: Callable[[str], ModelRef]
    ) -> ResponseState:
        """Return the state that `to_dict` returned as a dict. Without `model`, `model_of` looks the model
        up. Raises NoModelError, InputError."""
        from .prompt import Prompt, as_messages

        if not isinstance(data, Mapping) or not (model or isinstance(data.get("model"), str)):
            raise InputError("not a dict of Response.to_dict: it names no model")
        state = cls(Prompt.from_dict(data.get("prompt", {}), model or model_of(data["model"])))
        state.messages = [Message.from_dict(message) for message in as_messages(data.get("messages", ()))]
        if not isinstance(data.get("usage", {}), Mapping):
            raise InputError("usage: must be an object")
        state.stored = {name: data[name] for name in ("id", "usage", "datetime_utc", "finish_reason") if name in data}
        state.events = [Event.from_dict(event) for message in state.messages for event in events_of(message)]  # type: ignore[arg-type]
        if "error" in data:
            state.error = from_record(_error(data["error"]))
        state.is_done = True
        return state

    def next_prompt(self, prompt: str | None, results: Sequence[ToolResult], arguments: Mapping[str, Any]) -> Prompt:
        """Return the prompt of the next turn: the results, the user's words, the messages of `arguments`."""
        answered = self.prompt.with_results(results).history[-1:] if results else ()
        history = [*self.prompt.history, *self.copies(), *answered]
        return self.prompt.next_prompt(history, prompt, {**arguments, "tool_results": results})

    def tools_or(self, given: Iterable[Given] | None) -> Tools:
        """Return the given tools, else those of the prompt."""
        return self.prompt.offered if given is None else Tools(given)


def _error(stored: Any) -> ErrorRecord:
    """Return a stored error as a record. Raises InputError."""
    if not isinstance(stored, Mapping):
        raise InputError("error: must be an object")
    record: Any = {**stored, "type": "error"}
    check_record(record)
    return record  # type: ignore[no-any-return]


def pending_calls(conversation: Conversation) -> list[ToolCall]:
    """Return the calls of the last assistant message that have no result; none if a later message
    continues the conversation without them."""
    if conversation.messages and conversation.messages[-1]["role"] not in ("assistant", "tool"):
        return []
    pending = conversation.pending_calls()
    return [ToolCall(call["name"], call["arguments"], call["tool_call_id"], _exception_of(call)) for call in pending]


def _exception_of(call: Mapping[str, Any]) -> str | None:
    """Return why a call is not run here, None if it is."""
    needs_approval = "the provider runs it, and nobody was asked" if call.get("needs_approval") else None
    return call.get("exception") or needs_approval
