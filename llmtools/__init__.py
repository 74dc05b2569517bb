"""llmtools: conversations with language models, as streams.

    import llmtools
    print(llmtools.get_model("echo").prompt("hi").text())

Nothing is imported before it is used.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .errors import LlmToolsError
    from .errors import LlmToolsError as ModelError
    from .errors import NoKeyError as NeedsKeyException
    from .errors import NoModelError as UnknownModelError
    from .errors import UsageError as ConversationNotSupported
    from .exchange.ask import stream
    from .exchange.exchange import Exchange
    from .http.request import Limits
    from .library.aio import (
        AsyncChain,
        AsyncKeyModel,
        AsyncModel,
        AsyncResponse,
        AsyncTalk,
        get_async_model,
        get_async_models,
    )
    from .library.calls import CancelToolCall, PauseChain, ToolCall, ToolOutput, ToolResult
    from .library.files import Attachment
    from .library.filter import read_stream, write_stream
    from .library.log import Log
    from .library.messages import Event, Message, Usage, assistant, system, tool_message, user
    from .library.messages import Event as StreamEvent
    from .library.model_ref import register
    from .library.options import Options
    from .library.parts import AttachmentPart, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
    from .library.prompt import Prompt, schema_dsl
    from .library.settings import get_default_model, get_key, remove_alias, set_alias, set_default_model, user_dir
    from .library.sync import Chain, KeyModel, Model, Response, Talk, get_model, get_models
    from .library.toolbox import Tool, Toolbox
    from .protocols.request import Request
    from .records.canonical import canonical_json, node_hash
    from .records.conversation import Conversation
    from .records.fold import Fold, events_of, message_of
    from .records.jsonl import Decoder, dumps, encode, loads

_HOME = {
    "AsyncChain": "library.aio",
    "AsyncKeyModel": "library.aio",
    "AsyncModel": "library.aio",
    "AsyncResponse": "library.aio",
    "AsyncTalk": "library.aio",
    "Attachment": "library.files",
    "AttachmentPart": "library.parts",
    "CancelToolCall": "library.calls",
    "Chain": "library.sync",
    "Conversation": "records.conversation",
    "Decoder": "records.jsonl",
    "Event": "library.messages",
    "Exchange": "exchange.exchange",
    "Fold": "records.fold",
    "KeyModel": "library.sync",
    "Limits": "http.request",
    "LlmToolsError": "errors",
    "Log": "library.log",
    "Message": "library.messages",
    "Model": "library.sync",
    "Options": "library.options",
    "Part": "library.parts",
    "PauseChain": "library.calls",
    "Prompt": "library.prompt",
    "ReasoningPart": "library.parts",
    "Request": "protocols.request",
    "Response": "library.sync",
    "Talk": "library.sync",
    "TextPart": "library.parts",
    "Tool": "library.toolbox",
    "ToolCall": "library.calls",
    "ToolCallPart": "library.parts",
    "ToolOutput": "library.calls",
    "ToolResult": "library.calls",
    "ToolResultPart": "library.parts",
    "Toolbox": "library.toolbox",
    "Usage": "library.messages",
    "assistant": "library.messages",
    "canonical_json": "records.canonical",
    "dumps": "records.jsonl",
    "encode": "records.jsonl",
    "events_of": "records.fold",
    "get_async_model": "library.aio",
    "get_async_models": "library.aio",
    "get_default_model": "library.settings",
    "get_key": "library.settings",
    "get_model": "library.sync",
    "get_models": "library.sync",
    "loads": "records.jsonl",
    "message_of": "records.fold",
    "node_hash": "records.canonical",
    "read_stream": "library.filter",
    "register": "library.model_ref",
    "remove_alias": "library.settings",
    "schema_dsl": "library.prompt",
    "set_alias": "library.settings",
    "set_default_model": "library.settings",
    "stream": "exchange.ask",
    "system": "library.messages",
    "tool_message": "library.messages",
    "user": "library.messages",
    "user_dir": "library.settings",
    "write_stream": "library.filter",
}

_OTHER_NAMES = {
    "ConversationNotSupported": ("errors", "UsageError"),
    "ModelError": ("errors", "LlmToolsError"),
    "NeedsKeyException": ("errors", "NoKeyError"),
    "StreamEvent": ("library.messages", "Event"),
    "UnknownModelError": ("errors", "NoModelError"),
}
"""The names that llm has for classes of ours: where the class is, and its own name."""

__all__ = [
    "AsyncChain",
    "AsyncKeyModel",
    "AsyncModel",
    "AsyncResponse",
    "AsyncTalk",
    "Attachment",
    "AttachmentPart",
    "CancelToolCall",
    "Chain",
    "Conversation",
    "ConversationNotSupported",
    "Decoder",
    "Event",
    "Exchange",
    "Fold",
    "KeyModel",
    "Limits",
    "LlmToolsError",
    "Log",
    "Message",
    "Model",
    "ModelError",
    "NeedsKeyException",
    "Options",
    "Part",
    "PauseChain",
    "Prompt",
    "ReasoningPart",
    "Request",
    "Response",
    "StreamEvent",
    "Talk",
    "TextPart",
    "Tool",
    "ToolCall",
    "ToolCallPart",
    "ToolOutput",
    "ToolResult",
    "ToolResultPart",
    "Toolbox",
    "UnknownModelError",
    "Usage",
    "assistant",
    "canonical_json",
    "dumps",
    "encode",
    "events_of",
    "get_async_model",
    "get_async_models",
    "get_default_model",
    "get_key",
    "get_model",
    "get_models",
    "loads",
    "message_of",
    "node_hash",
    "read_stream",
    "register",
    "remove_alias",
    "schema_dsl",
    "set_alias",
    "set_default_model",
    "stream",
    "system",
    "tool_message",
    "user",
    "user_dir",
    "write_stream",
]


def __getattr__(name: str) -> object:
    home, own_name = _OTHER_NAMES.get(name) or (_HOME.get(name), name)
    if home is None:
        raise AttributeError(f"module 'llmtools' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{home}", __name__), own_name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
