"""llmtools: conversations with language models, as streams.

    import llmtools
    print(llmtools.get_model("echo").prompt("hi").text())

Nothing is imported before it is used.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .canonical import canonical_json, node_hash
    from .conversation import Conversation
    from .errors import LlmToolsError
    from .exchange import Exchange
    from .filter import read_stream, write_stream
    from .fold import Fold, events_of, message_of
    from .jsonl import Decoder, dumps, encode, loads
    from .model import AsyncChain, AsyncModel, AsyncTalk, Chain, Model, Talk, get_async_model, get_model
    from .prompt import schema_dsl
    from .request import Limits
    from .response import AsyncResponse, Response
    from .send import stream
    from .toolbox import CancelToolCall, PauseChain, Tool, Toolbox
    from .values import (
        Attachment,
        Event,
        Message,
        Part,
        ToolCall,
        ToolOutput,
        ToolResult,
        Usage,
        assistant,
        system,
        tool_message,
        user,
    )

_HOME = {
    "AsyncChain": "model",
    "AsyncModel": "model",
    "AsyncResponse": "response",
    "AsyncTalk": "model",
    "Attachment": "values",
    "CancelToolCall": "toolbox",
    "Chain": "model",
    "Conversation": "conversation",
    "Decoder": "jsonl",
    "Event": "values",
    "Exchange": "exchange",
    "Fold": "fold",
    "Limits": "request",
    "LlmToolsError": "errors",
    "Message": "values",
    "Model": "model",
    "Part": "values",
    "PauseChain": "toolbox",
    "Response": "response",
    "Talk": "model",
    "Tool": "toolbox",
    "ToolCall": "values",
    "ToolOutput": "values",
    "ToolResult": "values",
    "Toolbox": "toolbox",
    "Usage": "values",
    "assistant": "values",
    "canonical_json": "canonical",
    "dumps": "jsonl",
    "encode": "jsonl",
    "events_of": "fold",
    "get_async_model": "model",
    "get_model": "model",
    "loads": "jsonl",
    "message_of": "fold",
    "node_hash": "canonical",
    "read_stream": "filter",
    "schema_dsl": "prompt",
    "stream": "send",
    "system": "values",
    "tool_message": "values",
    "user": "values",
    "write_stream": "filter",
}

__all__ = [
    "AsyncChain",
    "AsyncModel",
    "AsyncResponse",
    "AsyncTalk",
    "Attachment",
    "CancelToolCall",
    "Chain",
    "Conversation",
    "Decoder",
    "Event",
    "Exchange",
    "Fold",
    "Limits",
    "LlmToolsError",
    "Message",
    "Model",
    "Part",
    "PauseChain",
    "Response",
    "Talk",
    "Tool",
    "ToolCall",
    "ToolOutput",
    "ToolResult",
    "Toolbox",
    "Usage",
    "assistant",
    "canonical_json",
    "dumps",
    "encode",
    "events_of",
    "get_async_model",
    "get_model",
    "loads",
    "message_of",
    "node_hash",
    "read_stream",
    "schema_dsl",
    "stream",
    "system",
    "tool_message",
    "user",
    "write_stream",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'llmtools' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
