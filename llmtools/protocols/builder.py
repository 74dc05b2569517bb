"""Blocks of a vendor's request, as every protocol builds them: plain JSON objects.

Rule: a block is built from the neutral fields, and what the issuer said beside them is laid
over it, so that it gets back what it sent.
"""

from __future__ import annotations

from ..errors import InputError, UsageError
from .options import NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..records.types import (
        Attachment,
        Message,
        Record,
        ToolRecord,
    )
    from .request import Request
    from .spec import Spec

    Wire = dict[str, Any]


def overlay(block: Wire, metadata: dict[str, Any]) -> Wire:
    """Return `block` with `metadata` laid over it, object by object."""
    laid = dict(block)
    for name, value in metadata.items():
        below = laid.get(name)
        laid[name] = overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return laid


def text_in_base64(content: str) -> str:
    """Return the text that an attachment holds. Raises InputError for what is no base64."""
    from binascii import Error, a2b_base64

    try:
        return a2b_base64(content).decode("utf-8", "replace")
    except Error as error:
        raise InputError(f"an attachment is no base64: {error}") from None


_ANSWERS = ("n", "candidate_count", "candidateCount")
"""The options that ask for more than one answer."""


class Builder:
    """What builds the messages of one request; `notices` are what could not be said, each once."""

    def __init__(self, request: Request, spec: Spec) -> None:
        self.notices: dict[str, Record] = {}
        self._request = request
        self._issuer = request.issuer
        self._quirks = request.quirks
        self._spec = spec
        self._conversation: list[Message] = []

    def counted(self, messages: list[Message]) -> list[Message]:
        """Return the messages that say something; who is told of one counts the others too."""
        self._conversation = messages
        return [message for message in messages if message["parts"]]

    def drop(self, code: str, message: str) -> None:
        """Note that something could not be said."""
        self.notices.setdefault(message, {"type": "notice", "code": code, "message": message})

    def own(self, holder: Any) -> dict[str, Any]:
        """Return the metadata that may be sent: that of this issuer."""
        own = holder.get("provider_metadata", {}).get(self._issuer)
        return own if isinstance(own, dict) else {}

    def refuse(self, attachment: Attachment, why: str) -> None:
        """Refuse an attachment that has no place here, or note that it is left out: where
        that was asked for, and where a model made it.

        Raises InputError, which names the message and the part.
        """
        number, role, part = self._place_of(attachment)
        if role != "assistant" and not self._request.drop_unsupported:
            place = f"message {number} ({role}), part {part}: " if number else ""
            raise InputError(f"{place}an attachment cannot be sent: {why} (--drop-unsupported leaves it out)")
        self.drop("dropped_attachment", f"an attachment was not sent: {why}")

    def options(self) -> Wire:
        """Return the options of the request as they stand in its body. Raises UsageError for
        more than one answer, and for what is no name."""
        given = self._request.options
        for name in given:
            if "" in name.split("."):
                raise UsageError(f"-o {name!r}: no name of an option")
        for name in _ANSWERS:
            if given.get(name, 1) not in (1, "1"):
                raise UsageError(f"-o {name}: only one answer can be asked for")
        spelled = {
            name if name in NAMES else self.spelled(name): value
            for name, value in given.items()
            if name not in _ANSWERS
        }
        body, dropped = self._spec.options.put(spelled, self._quirks)
        for name in dropped:
            self.drop("dropped_option", f"the option {name} was not sent: there is no place for it here")
        return body

    def spelled(self, name: str) -> str:
        """Return the vendor's spelling of an option of its own."""
        return name

    def offered(self, tools: Iterable[ToolRecord], function: Callable[[ToolRecord], Wire]) -> list[Wire]:
        """Return the blocks of the tools that are offered: those that `function` makes, and the vendor's own."""
        blocks = []
        for tool in tools:
            own = self.own(tool)
            if "input_schema" in tool or not tool.get("provider_metadata"):
                blocks.append(overlay(function(tool), own))
            elif own:
                blocks.append(self.own_tool(tool, own))
            elif block := self._spec.server_tool(tool["name"], self._quirks):
                blocks.append(block)
            else:
                self.drop("dropped_tool", f"the tool {tool['name']} was not offered: it belongs to another provider")
        return blocks

    def choice(self, tools: list[Wire]) -> str | None:
        """Return the tool choice that was asked for; vendors refuse one where no tool is offered, which
        `auto` and `none` can do without."""
        asked, given = self._request.tool_choice, self._request.options.get("tools")
        return asked if tools or given or asked not in ("auto", "none") else None

    def own_tool(self, tool: ToolRecord, own: Wire) -> Wire:
        """Return the block of a tool of the vendor's own, of which `own` is what the record keeps."""
        return own

    def cache_key(self) -> str:
        """Return a name for what the conversation begins with: requests that begin alike share it."""
        from ..records.canonical import node_hash

        first = self._conversation[:1]
        return node_hash(first[0]).hex()[:32] if first else ""

    def cannot_cache(self) -> None:
        """Note that the prompt cache cannot be asked for, if it was."""
        if self._request.cache_prompt:
            self.drop(
                "dropped_cache", "the prompt cache was not asked for: this provider keeps one by itself or has none"
            )

    def _place_of(self, attachment: Attachment) -> tuple[int, str, int]:
        for number, message in enumerate(self._conversation, 1):
            for place, part in enumerate(message["parts"], 1):
                if any(item is attachment for item in (part.get("attachment"), *part.get("attachments", ()))):
                    return number, message["role"], place
        return 0, "", 0
