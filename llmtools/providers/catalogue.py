"""The catalogue of providers: their base URLs, protocols, key variables and quirks. Plain data.

Rules:
* One provider is one entry: protocol, base URL, the variables of its key (messages advise the
  first), and its quirks. Each is an issuer of its own.
* A quirk of single models is a rule of `MODEL_QUIRKS`.
* A base URL ends before the paths of the protocol.

The modules of `protocols` describe the quirks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider of models.

    keys: the variables that may have its key. key: whether it needs one: "required", "optional" (a
    server of the user's), "remote" (the vendor's cloud needs one, the user's server does not), or
    "own" (the user's own provider, which needs one if one is configured). auth: the header of the
    key and the text before the key, if they are not those of the protocol. url_variable: the
    vendor's variable for another base URL. models: the path of the list of models, relative to the
    base URL, "" if there is none. owner: the `owned_by` of its models, by which we know that the
    server on this port is the expected one. start, pull: the commands that start a server of the
    user's, and that get a model for it; {model} is the model. twin: the
    provider that has the same models by another protocol: a bare name means that one, whose key in
    the keyring is taken if this one has none.
    """

    protocol: str
    base_url: str
    keys: tuple[str, ...] = ()
    quirks: frozenset[str] = frozenset()
    key: str = "required"
    auth: tuple[str, str] = ("", "")
    url_variable: str = ""
    models: str = "models"
    owner: str = ""
    start: str = ""
    pull: str = ""
    twin: str = ""


def _of(protocol: str, base_url: str, keys: str = "", quirks: str = "", **more: str) -> Provider:
    return Provider(protocol, base_url, tuple(keys.split()), frozenset(quirks.split()), **more)  # type: ignore[arg-type]


_CHAT, _LOCALHOST = "openai-chat", "http://127.0.0.1"
_BEARER = ("authorization", "Bearer ")

PROVIDERS = {
    "openai": _of("openai-responses", "https://api.openai.com/v1", "OPENAI_API_KEY",
                  "max_completion_tokens prompt_cache_key",
                  url_variable="OPENAI_BASE_URL"),
    "anthropic": _of("anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY",
                     url_variable="ANTHROPIC_BASE_URL", models="v1/models?limit=1000"),
    "gemini": _of("gemini", "https://generativelanguage.googleapis.com/v1beta", "GEMINI_API_KEY GOOGLE_API_KEY",
                  url_variable="GOOGLE_GEMINI_BASE_URL", models="models?pageSize=1000"),
    "interactions": _of("gemini-interactions", "https://generativelanguage.googleapis.com/v1beta",
                        "GEMINI_API_KEY GOOGLE_API_KEY", url_variable="GOOGLE_GEMINI_BASE_URL",
                        models="models?pageSize=1000", twin="gemini"),
    "vertex": Provider("gemini", "https://{host}/v1beta1/projects/{project}/locations/{location}/publishers/google",
                       ("GOOGLE_OAUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN"), auth=_BEARER,
                       url_variable="GOOGLE_VERTEX_BASE_URL", models=""),
    "azure": Provider(_CHAT, "{endpoint}/openai/v1", ("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
                      frozenset(("max_completion_tokens", "prompt_cache_key", "flat_tools")), auth=("api-key", ""),
                      url_variable="AZURE_OPENAI_ENDPOINT", models=""),
    "ollama": _of("ollama", f"{_LOCALHOST}:11434", "OLLAMA_API_KEY", key="remote", url_variable="OLLAMA_HOST",
                  models="api/tags", start="ollama serve", pull="ollama pull {model}"),
    "openrouter": _of(_CHAT, "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY",
                      "reasoning_object file_urls video openrouter_tools"),
    "mistral": _of(_CHAT, "https://api.mistral.ai/v1", "MISTRAL_API_KEY",
                   "random_seed tool_choice_any short_ids audio_string document_url prefix no_stream_options "
                   "no_late_system assistant_after_tool"),
    "deepseek": _of(_CHAT, "https://api.deepseek.com", "DEEPSEEK_API_KEY", "thinking reasoning_with_calls json_object"),
    "xai": _of("openai-responses", "https://api.x.ai/v1", "XAI_API_KEY", "reasoning_include"),
    "groq": _of(_CHAT, "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "together": _of(_CHAT, "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "fireworks": _of(_CHAT, "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "cerebras": _of(_CHAT, "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "perplexity": _of(_CHAT, "https://api.perplexity.ai", "PERPLEXITY_API_KEY PPLX_API_KEY",
                      "no_late_system", models=""),
    "huggingface": _of(_CHAT, "https://router.huggingface.co/v1", "HF_TOKEN HUGGINGFACE_API_KEY"),
    "github": _of(_CHAT, "https://models.github.ai/inference", "GITHUB_TOKEN", "flat_tools",
                  models="../catalog/models"),
    "nvidia": _of(_CHAT, "https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY"),
    "moonshot": _of(_CHAT, "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY",
                    "max_completion_tokens reasoning_with_calls"),
    "zai": _of(_CHAT, "https://api.z.ai/api/paas/v4", "ZAI_API_KEY", "thinking json_object"),
    "alibaba": _of(_CHAT, "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY",
                   "enable_thinking enable_search json_object"),
    "lmstudio": _of(_CHAT, f"{_LOCALHOST}:1234/v1", "LMSTUDIO_API_KEY", "no_late_system", key="optional",
                    start="lms server start", pull="lms get {model}"),
    "llamacpp": _of(_CHAT, f"{_LOCALHOST}:8080/v1", "LLAMA_API_KEY",
                    "chat_template_kwargs unsigned_thinking no_late_system",
                    key="optional", owner="llamacpp", start="llama-server -m FILE.gguf"),
    "vllm": _of(_CHAT, f"{_LOCALHOST}:8000/v1", "VLLM_API_KEY", "chat_template_kwargs video no_late_system",
                key="optional", owner="vllm", start="vllm serve {model}"),
}  # fmt: skip

_TEXT_ONLY = r"(?!.*(image|tts|live|audio|embedding|computer|robotics))"
_MISTRAL_MODELS = r"(.*/)?(open-)?(mi(s|x|nis)tral|devstral|magistral|pixtral|codestral|voxtral)"
_REASONING_MODELS = r"(openai/)?(o\d|gpt-5($|-(?!chat)))"
MODEL_QUIRKS = (
    ("anthropic", r".*claude-(3[-.]7|(opus|sonnet|haiku)-4([-.][0-5])?(-2\d{7})?$)", "budget_tokens"),
    ("anthropic", r".*claude-([0-3]|instant|(opus|sonnet|haiku)-4([-.][0-7])?(-2\d{7})?$)", "no_late_system"),
    ("anthropic", r".*claude-(opus|sonnet|haiku|fable|mythos)-([5-9]|\d\d\b|preview)", "hidden_thinking"),
    ("anthropic", r".*claude-(fable|mythos|opus-5[-.]5)", "always_thinking"),
    ("anthropic", r".*claude-sonnet-5[-.]5", "between_tools"),
    (
        "anthropic",
        r".*claude-((opus|sonnet)-4[-.][6-9]|(opus|sonnet|haiku|fable|mythos)-([5-9]|\d\d\b|preview))",
        "newest_tools",
    ),
    ("anthropic", r".*claude-((fable|mythos)-5[-.]1|(opus|sonnet)-5[-.]5)", "no_forced_tools"),
    ("anthropic", r".*claude-(opus-4[-.][7-9]|(opus|sonnet|haiku|fable|mythos)-([5-9]|\d\d\b|preview))", "no_sampling"),
    ("gemini", r".*gemini-[12]\b", "thinking_budget"),
    ("gemini", rf".*gemini-2\.5-(pro|flash(?!-lite)){_TEXT_ONLY}", "hidden_thinking"),
    ("gemini", rf".*gemini-([3-9]|[1-9]\d|(pro|flash)-latest){_TEXT_ONLY}", "hidden_thinking"),
    ("gemini", r".*gemini-([3-9]|[1-9]\d|(pro|flash|flash-lite)-latest)", "thought_signatures"),
    ("gemini-interactions", r".*(gemini-(1|2\.0)|gemini-2\.5-flash-image|gemma-[1-3]|-tts)", "unreasoning"),
    ("openai-responses", r"(.*[^a-z0-9])?(gpt-[34](?!\d)|chatgpt-4|gpt-5(\.\d+)?-chat)", "unreasoning"),
    ("xai", r"grok-(3(?!-mini)|4-|4\.20(?!-multi)|code|build|composer)", "no_effort"),
    ("openai azure github", _REASONING_MODELS, "no_sampling max_completion_tokens"),
    ("openai azure github", r"(openai/)?(o3|o4-mini)", "no_stop"),
    ("openai-chat", _MISTRAL_MODELS, "no_late_system assistant_after_tool"),
    ("openai-chat", r"(.*/)?qwen-?3\.[5-9]", "no_late_system"),
    ("moonshot", r"kimi-k2", "thinking"),
    ("moonshot", r"kimi-k(2\.[5-9]|[3-9])", "no_sampling"),
    ("groq", r"openai/gpt-oss", "groq_tools"),
    ("vllm", r"openai/gpt-oss", "-chat_template_kwargs"),
)
"""(providers or protocols, a pattern for the beginning of a model's name in lower case, the quirks to
add; -QUIRK removes one)."""

MAX_OUTPUT = (
    ("anthropic", r".*claude-(instant|2|3-(opus|sonnet|haiku))", 4096),
    ("anthropic", r".*claude-3-5", 8192),
)
"""(protocol, pattern as in `MODEL_QUIRKS`, the most output tokens of such a model)."""

BARE_NAMES = (
    (r"(gpt-(?!oss)|chatgpt-|o\d(-|$)|codex-)", "openai"),
    (r"claude-", "anthropic"),
    (r"gemini-", "gemini"),
    (r"grok-", "xai"),
    (r"deepseek-(chat|reasoner|v\d)", "deepseek"),
    (r"(mistral|magistral|ministral|codestral|devstral|pixtral|voxtral|open-mi[sx]tral)-", "mistral"),
    (r"sonar(-|$)", "perplexity"),
    (r"(kimi|moonshot)-", "moonshot"),
    (r"glm-", "zai"),
    (r"qwen[\w.]*-(max|plus|flash|turbo|long|coder)", "alibaba"),
)
"""(a pattern for the beginning of a bare name, its provider)."""

LOCAL_PROVIDERS = tuple(name for name, provider in PROVIDERS.items() if provider.base_url.startswith(_LOCALHOST))
"""The names of the providers that may run on this machine."""

_QUIRK_NAMES = (
    "max_completion_tokens random_seed no_stop no_sampling no_stream_options prompt_cache_key no_include "
    "tool_choice_any json_object no_schema reasoning_object thinking enable_thinking chat_template_kwargs developer "
    "short_ids reasoning_with_calls tool_images file_urls video document_url audio_string prefix no_finish "
    "unsigned_thinking no_late_system budget_tokens thinking_budget thought_signatures openrouter_tools unreasoning "
    "hidden_thinking always_thinking no_forced_tools assistant_after_tool flat_tools "
    "newest_tools groq_tools enable_search between_tools no_effort reasoning_include"
)
QUIRKS = frozenset(_QUIRK_NAMES.split())
"""The quirks that the protocols implement."""


def quirks_of(name: str, protocol: str, quirks: frozenset[str], model: str) -> frozenset[str]:
    """Return the quirks of a model.

    name: the provider, or the issuer of another server. quirks: those of the provider.
    """
    for names, pattern, words in MODEL_QUIRKS:
        if not {name, protocol}.isdisjoint(names.split()) and re.match(pattern, model.lower()):
            for word in words.split():
                quirks = quirks - {word[1:]} if word.startswith("-") else quirks | {word}
    return quirks


def max_output_of(protocol: str, model: str) -> int | None:
    """Return the most output tokens of a model, None if it has no entry in `MAX_OUTPUT`."""
    limits = (limit for name, pattern, limit in MAX_OUTPUT if name == protocol and re.match(pattern, model.lower()))
    return next(limits, None)


def provider_of(model: str) -> str | None:
    """Return the provider of a bare name by its beginning, None for an unknown one."""
    return next((provider for pattern, provider in BARE_NAMES if re.match(pattern, model)), None)
