"""Gemini Interactions, the reply: events and whole bodies to records.

Rules:
* A step is known by its index. It begins with its fields, grows by deltas and stops. A whole body
  has the same steps, each at once (see `steps`).
* The interaction that ends a stream may have the steps again. Only those that did not come as
  events are taken from there.
* The token to continue a reply that paused is the message's provider_metadata.
* The usage object and all other fields of the interaction are output only: they are kept in
  details and never sent back.
* An event of a type that is not known makes a notice.
"""

from __future__ import annotations

from ..json_fields import list_of, objects_of, string_of, string_or_empty
from ..reply_writer import ReplyWriter
from .end import FAILED_STATUSES, details_of_interaction, failure_of, outcome_of_status, usage_of
from .spec import SPEC
from .steps import FunctionCall, Tally, new_step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...errors import LlmToolsError
    from ...records.types import Record
    from ..json_fields import JsonObject
    from .steps import Step


class Reply:
    """Turns the events of one response into records.

    is_begun: whether the response has begun. status: that of the interaction, "" until it comes.
    """

    def __init__(self, issuer: str) -> None:
        self.is_begun = False
        self.status = ""
        self._writer = ReplyWriter(issuer)
        self._tally = Tally()
        self._steps: dict[Any, Step] = {}
        self._model = ""
        self._usage: JsonObject = {}
        self._details: JsonObject = {}
        self._unknown: set[str] = set()

    @property
    def failure(self) -> LlmToolsError | None:
        """Why the reply failed, None if it did not."""
        return self._writer.failure

    def loads(self, payload: bytes) -> Any:
        """Return the JSON value of a payload, read leniently. Raises ProtocolError."""
        return self._writer.loads(payload)

    def take(self, kind: str, event: JsonObject) -> list[Record]:
        """Return the records of an event of a type."""
        if kind in _HANDLERS:
            self.is_begun = True
            _HANDLERS[kind](self, event)
        elif kind not in self._unknown:
            self._unknown.add(kind)
            what = (kind or string_of(event))[:200]
            self._writer.notice("unknown_event", f"the provider sent an event that is not known: {what}")
        return self._writer.drain()

    # ---- the interaction

    def _begin(self, event: JsonObject) -> None:
        self.note_interaction(event.get("interaction"))
        self._writer.start()

    def _update(self, event: JsonObject) -> None:
        self.status = string_or_empty(event.get("status")) or self.status
        self._note_usage(event.get("usage"))

    def _note_usage(self, usage: Any) -> None:
        self._usage = usage if isinstance(usage, dict) and usage else self._usage

    def note_interaction(self, said: Any) -> JsonObject:
        """Keep what an interaction says of itself, even if it failed; return it."""
        interaction: JsonObject = said if isinstance(said, dict) else {}
        self.is_begun = True
        self._writer.response_id = self._writer.response_id or string_or_empty(interaction.get("id"))
        self.status = string_or_empty(interaction.get("status")) or self.status
        self._model = string_or_empty(interaction.get("model")) or self._model
        self._note_usage(interaction.get("usage"))
        self._details |= details_of_interaction(interaction)
        return interaction

    def known_end(self) -> JsonObject:
        """Return the fields of `end` that are known so far, also for a reply that was cut off."""
        return self._writer.known_end(usage_of(self._usage), self._model, {**self._details, "usage": self._usage})

    def end(self, interaction: Any) -> list[Record]:
        """Return the last records, those of the interaction that ends the reply. A reply that failed has no `end`."""
        interaction = self.note_interaction(interaction)
        self._writer.start()
        self._end_steps(list_of(interaction.get("steps")))
        self._writer.flush_halves()
        if self.status in FAILED_STATUSES:
            self._writer.failure = failure_of(self.status, interaction, self._tally.error)
        elif self._writer.failure is None:
            self._writer.records.append(self._end(string_or_empty(interaction.get("continuation_token"))))
        return self._writer.drain()

    def _end(self, token: str) -> Record:
        status = self.status or "completed"
        calls = [step.call_id for step in self._steps.values() if isinstance(step, FunctionCall)]
        outcome = outcome_of_status(status, has_calls=not self._tally.answered.issuperset(calls))
        if not SPEC.has_finish(status):
            self._writer.notice_finish(status)
        if self._tally.error:
            error = failure_of("failed", {}, self._tally.error)
            self._writer.notice("step_error", f"a step of the reply failed: {error.message}")
        end: Record = {"type": "end", "status": "ok", **outcome, **self.known_end()}
        if token and outcome["finish_reason"] == "pause":
            end["provider_metadata"] = {self._writer.issuer: {"continuation_token": token}}
        return end

    def _end_steps(self, steps: list[Any]) -> None:
        """End the steps that are open, and take those that did not come as events."""
        for step in self._steps.values():
            if not step.is_done:
                step.end()
        for step in steps:
            if not isinstance(step, dict) and step is not None:
                self._writer.refuse("a step that is not an object", step)
        output = [step for step in objects_of(steps) if step.get("type") != "user_input"]
        for fields in output[len(self._steps) :]:
            self._add_step(len(self._steps), fields).end()

    # ---- the steps

    def _add_step(self, index: Any, fields: JsonObject) -> Step:
        step = self._steps[index] = new_step(self._writer, self._tally, len(self._steps), fields)
        return step

    def _start_step(self, event: JsonObject) -> None:
        self._writer.start()
        index, fields = _index_of(event), event.get("step")
        open_step = self._steps.get(index)
        if open_step is not None:  # an index that came before names another step now
            self._steps[f"~{len(self._steps)}"] = open_step
            if not open_step.is_done:
                open_step.end()
        self._add_step(index, fields if isinstance(fields, dict) else {})

    def _grow_step(self, event: JsonObject) -> None:
        metadata = event.get("metadata")
        self._note_usage(metadata.get("total_usage") if isinstance(metadata, dict) else None)
        delta = event.get("delta")
        if not isinstance(delta, dict):
            if delta is not None:
                self._writer.refuse("a delta that is not an object", delta)
            return
        index = _index_of(event)
        step = self._steps.get(index)
        if step is None or step.is_done:
            self._start_step(
                {"index": index, "step": {"type": _TYPE_OF_DELTA.get(str(delta.get("type")), "model_output")}}
            )
        self._steps[index].take(delta)

    def _stop_step(self, event: JsonObject) -> None:
        step = self._steps.get(_index_of(event))
        if step is not None and not step.is_done:
            step.end()


def _index_of(event: JsonObject) -> Any:
    index = event.get("index")
    return index if isinstance(index, (int, str)) else 0


_TYPE_OF_DELTA = {
    "thought_summary": "thought",
    "thought_signature": "thought",
    "arguments_delta": "function_call",
}
"""Type of a delta whose step has not begun -> the type of the step."""

_HANDLERS = {
    "interaction.created": Reply._begin,
    "interaction.status_update": Reply._update,
    "step.start": Reply._start_step,
    "step.delta": Reply._grow_step,
    "step.stop": Reply._stop_step,
}
"""Type of an event that is not the last -> the method that takes it."""
