"""A GGUF model of 1 MB, made on the spot, that recites what is written here.

Each token of a text has one successor: the embeddings are nearly orthogonal, the layers are
zero, and the output matrix says what comes next. So at temperature 0 the answer is the text,
whatever the prompt; which text, the chat template says by the marker that ends the prompt.
All else (template engine, tokenizer, grammars, the parsers of reasoning and of tool calls)
is llama.cpp's own. A tool whose schema does not fit the recited call aborts the server.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

CONTEXT = 8192
"""The tokens of a conversation: a byte of the prompt is one."""
DIMENSION = 128
SIZE = 4
"""The characters of a token, where no other token has them."""

PLAIN = "Grüße aus Zürich, 你好世界, 🙂👍 and done."
THOUGHT = "They ask why: überlegen wir, 想一想 🤔."
CONCLUSION = "Because it rains (雨)."
LOOK = "Let me look."
ONE = {"city": "Zürich 🙂", "days": 3}
TWO = [{"city": "Kraków", "days": 1}, {"city": "東京", "days": 2}]
SUNNY = "It is sunny there, says your tool."
AGAIN = "As I said before, in fewer words."
RETHOUGHT = "My thoughts came back to me."
OBJECT = {"title": "Straßenfest 祭り 🎉", "people": 42}
LONG = "".join(f"{number:03}ä " for number in range(300))
"""What the model says over and over, without an end."""

TOOL = {
    "type": "tool",
    "name": "get_weather",
    "description": "The weather of a place.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}


def _spoken(arguments: dict[str, Any]) -> str:
    """Return a call as the model says it."""
    call = {"name": TOOL["name"], "arguments": arguments}
    return f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>"


SCRIPTS = {
    "sunny": ("last.role == 'tool' and '18 degrees' in said", SUNNY),
    "two": ("tools and 'both' in said", "\n".join(map(_spoken, TWO))),
    "one": ("tools", LOOK + _spoken(ONE)),
    "again": (f"'again' in said and before.content == '{PLAIN}'", AGAIN),
    "rethought": (f"'again' in said and before.reasoning_content == '{THOUGHT}'", RETHOUGHT),
    "why": ("'why' in said", f"<think>{THOUGHT}</think>{CONCLUSION}"),
    "object": ("'object' in said", json.dumps(OBJECT, ensure_ascii=False)),
    "long": ("'long' in said", LONG),
    "plain": ("true", PLAIN),
}
"""Name -> (condition, text): the first whose condition holds is recited."""

TEMPLATE = """\
{%- if tools %}<|system|>
{%- for tool in tools %}{{ tool | tojson }}
{% endfor %}A call is <tool_call>
{"name": NAME, "arguments": OBJECT}
</tool_call><|end|>
{% endif %}
{%- for message in messages %}<|{{ message.role }}|>
{%- if message.reasoning_content %}<think>{{ message.reasoning_content }}</think>{% endif %}
{{- message.content or '' }}
{%- for call in message.tool_calls or [] %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|end|>
{% endfor %}
{%- if add_generation_prompt %}<|assistant|>
{%- set last = messages[-1] %}{% set said = last.content or '' %}
{%- set before = messages[-2] if messages | length > 1 else {} %}
{%- CHOICE %}{% endif %}"""


def template() -> str:
    """Return the chat template: the conversation, then the marker of the text to recite."""
    choices = [f"if {condition} %}}{_marker(name)}{{% " for name, (condition, _) in SCRIPTS.items()]
    return TEMPLATE.replace("CHOICE", "el".join(choices) + "endif")


def _marker(name: str) -> str:
    return f"<|say {name}|>"


def _pieces(text: str, taken: set[str]) -> list[str]:
    """Cut a text into tokens that no text has yet, and take them."""
    found: list[str] = []
    while text:
        size = SIZE
        while size < len(text) and (text[:size] in taken or text[:size] in found):
            size += 1
        piece, text = text[:size], text[size:]
        while piece in taken or piece in found:  # the end was said before: what precedes it joins it
            piece = found.pop() + piece
        found.append(piece)
    taken.update(found)
    return found


def _letters() -> list[str]:
    """Return the letter of each byte in a vocabulary of GPT-2's kind."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(0x100, 0x200))
    return [chr(byte if byte in visible else next(hidden)) for byte in range(0x100)]


class Vocabulary:
    """The tokens, which of them are no text, and which follows which."""

    END = "<|end|>"
    MERGE = ("t", "h")  # the format wants one

    def __init__(self) -> None:
        letters = _letters()
        taken = {*map(chr, range(128)), "".join(self.MERGE)}
        self.texts = [*letters, "".join(self.MERGE)]
        self.controls = [self.END, *(f"<|{role}|>" for role in ("system", "user", "assistant", "tool"))]
        self.successors: dict[str, str] = {}
        for name, (_, text) in SCRIPTS.items():
            spoken = ["".join(letters[byte] for byte in piece.encode()) for piece in _pieces(text, taken)]
            chain = [_marker(name), *spoken]
            self.texts += spoken
            self.controls.append(chain[0])
            last = spoken[0] if text == LONG else self.END
            self.successors.update(zip(chain, [*spoken, last], strict=True))

    @property
    def tokens(self) -> list[str]:
        return self.texts + self.controls


def write(path: Path) -> None:
    """Write the model to a file, with the packages gguf and numpy."""
    gguf: Any = import_module("gguf")
    vocabulary = Vocabulary()
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(DIMENSION)
    writer.add_block_count(1)
    writer.add_feed_forward_length(DIMENSION)
    writer.add_head_count(1)
    writer.add_rope_dimension_count(DIMENSION)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_chat_template(template())
    _write_tokens(writer, vocabulary, gguf.TokenType)
    for name, tensor in _tensors(vocabulary).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_tokens(writer: Any, vocabulary: Vocabulary, kinds: Any) -> None:
    end = vocabulary.tokens.index(vocabulary.END)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types([kinds.NORMAL] * len(vocabulary.texts) + [kinds.CONTROL] * len(vocabulary.controls))
    writer.add_token_merges([" ".join(vocabulary.MERGE)])
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)


def _tensors(vocabulary: Vocabulary) -> dict[str, Any]:
    numpy: Any = import_module("numpy")
    number = {token: place for place, token in enumerate(vocabulary.tokens)}
    embedding = numpy.random.default_rng(0).standard_normal((len(number), DIMENSION), "float32")
    embedding /= numpy.linalg.norm(embedding, axis=1, keepdims=True)
    output = numpy.zeros_like(embedding)
    for token, successor in vocabulary.successors.items():
        output[number[successor]] += 4 * embedding[number[token]]
    ones, zeros = numpy.ones(DIMENSION, "float32"), numpy.zeros((DIMENSION, DIMENSION), "float32")
    layer = dict.fromkeys(("attn_norm", "ffn_norm"), ones)
    layer |= dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"), zeros)
    named = {f"blk.0.{name}.weight": tensor for name, tensor in layer.items()}
    return {"token_embd.weight": embedding, "output_norm.weight": ones, "output.weight": output, **named}
