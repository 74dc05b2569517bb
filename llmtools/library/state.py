"""The state of a response: what came of a prompt so far.

Rules:
* The running request refers to the state, not to the response, so that dropping the last reference
  to a response closes its connection at once.
* A response that is given up (closed, or its task was cancelled) has failed, and keeps what came.
"""

from __future__ import annotations

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
from .messages import (
    Attachment,
    Event,
    Message,
    Part,
    ToolCall,
    ToolResult,
    Usage,
)
from .toolbox import Tools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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

    def exchange(self) -> Exchange:
        """Return the exchange that asks the model. Raises what `ready_to_send` and `Prompt.request` raise."""
        prepared, notices = ready_to_send(self.prompt.conversation())
        names = self.prompt.conversation().dropped_options()
        notices += dropped_option_notices(name for name in names if name not in self.prompt.options)
        self.events += [Event(notice) for notice in notices]
        request, endpoint = self.prompt.request()
        return Exchange(prepared, request, endpoint, self.prompt.limits)

    def add_records(self, records: list[dict[str, Any]]) -> None:
        """Add the events among the records that came."""
        self.events += [Event(record) for record in records if record["type"] != "message"]

    def end(self, exchange: Exchange) -> None:
        """Take how the exchange ended; one that is not over is cancelled."""
        self.add_records(exchange.cancel(CancelledError(GIVEN_UP)))
        self.error = exchange.failure
        self.messages += [Message(message) for message in exchange.messages]

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
        return [Message(deep_copy(message)) for message in self.messages]

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
        return [Attachment(part["attachment"]) for part in self.parts("attachment") if "attachment" in part]

    def response(self) -> dict[str, Any]:
        """Return the `response` of the last message, {} where it has none."""
        return dict(self.messages[-1].get("response", {})) if self.messages else {}

    def usage(self) -> Usage:
        """Return the tokens of all its messages."""
        total = total_usage(self.messages)
        return Usage(total.get("input"), total.get("output"), total.get("details", {}))

    def json(self) -> Any:
        """Return the answer, checked against its schema. Without a schema return the last message with its
        `response`. Raises InputError."""
        from ..schema import parse_answer

        self.check()
        schema = self.prompt.answer_settings["schema"]
        if schema is not None:
            return parse_answer(self.text(), schema)
        return self.messages[-1].to_dict() if self.messages else {}

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        response, usage = self.response(), self.usage()
        counts: dict[str, Any] = {"input": usage.input, "output": usage.output, "details": usage.details}
        fields = {
            "model": self.prompt.model.model_id,
            "prompt": self.prompt.to_dict(),
            "messages": [message.to_dict() for message in self.messages],
        }
        rest: dict[str, Any] = {
            "id": response.get("id"),
            "usage": {name: value for name, value in counts.items() if value not in (None, {})},
            "datetime_utc": response.get("created"),
            "finish_reason": response.get("finish_reason"),
            "status": response.get("status"),
            "error": None if self.error is None else self.error.to_record(),
        }
        return fields | {name: value for name, value in rest.items() if value}

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
        state.messages = [Message(message) for message in as_messages(data.get("messages", ()))]
        state.events = [Event(event) for message in state.messages for event in events_of(message)]  # type: ignore[arg-type]
        if "error" in data:
            state.error = from_record(_error(data["error"]))
        state.is_done = True
        return state

    def next_prompt(self, prompt: str | None, results: Sequence[ToolResult], arguments: Mapping[str, Any]) -> Prompt:
        """Return the prompt of the next turn: the results, the user's words, the messages of `arguments`."""
        answered = self.prompt.with_results(results).messages[-1:] if results else ()
        return self.prompt.next_prompt([*self.prompt.messages, *deep_copy(self.messages), *answered], prompt, arguments)

    def tools_or(self, given: Iterable[Given] | None) -> Tools:
        """Return the given tools, else those of the prompt."""
        return self.prompt.tools if given is None else Tools(given)


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
