"""The `tool` record of a tool that the vendor runs itself: `--server-tool NAME[=JSON]`.

A block with a `type` goes into the request's `tools`. One without goes to the top level
(`web_search_options` of Chat, `generationConfig` of Gemini).
"""

from __future__ import annotations

from ..errors import InputError, UsageError, setting_name
from ..records.jsonl import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..records.types import ToolRecord
    from .spec import Spec


def server_tool_record(text: str, spec: Spec | None, issuer: str, quirks: Iterable[str] = ()) -> ToolRecord:
    """Return the `tool` record for `NAME` or `NAME=JSON`.

    The fields of the JSON object are laid over the block of that name. For a name without a block
    they are the block. spec: None for a model that is not reached over HTTP. Raises UsageError
    if the protocol does not have the name, or if the JSON is not an object.
    """
    name, has_fields, json = text.partition("=")
    block = spec.server_tool(name, quirks) if spec is not None else None
    try:
        fields = loads(json.encode()) if has_fields else {}
    except InputError as error:
        raise UsageError(f"{setting_name('--server-tool', 'server tool')} {name}: {error.message}") from None
    if not isinstance(fields, dict):
        raise UsageError(f"{setting_name('--server-tool', 'server tool')} {name}: its fields are not a JSON object")
    if not name or (block is None and not fields):
        names = ", ".join(spec.server_tool_names(quirks)) if spec is not None else ""
        owner = spec.name if spec is not None else "this model"
        raise UsageError(
            f"{setting_name('--server-tool', 'server tool')} {name or text!r}: {owner} has {names or 'none'}"
        )
    return {"type": "tool", "name": name, "provider_metadata": {issuer: {**(block or {}), **fields}}}
