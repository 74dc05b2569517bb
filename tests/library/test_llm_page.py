"""The Python API page of llm's documentation (0.32 to 0.36): each of its examples as a test, in the order of the page.

Every test runs with `import llm` and with `import llmtools as llm`, with models that both run, and asserts
the same of both. `man/llmtools.7` says what differs. The programs are written afresh.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.paths import ROOT
from support.two_libraries import PNG, Fakes, register


@pytest.fixture(params=["llmtools", "llm"])
def fakes(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fakes]:
    (tmp_path / "config.toml").write_text("")
    monkeypatch.setenv("LLMTOOLS_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("LLMTOOLS_DATA", str(tmp_path))
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    monkeypatch.setenv("FAKE_KEY", "from the environment")
    monkeypatch.chdir(tmp_path)
    fakes = Fakes(request.param)
    unregister = register(fakes, "alias")
    yield fakes
    unregister()


def upper(text: str) -> str:
    """Convert text to uppercase."""
    return text.upper()


PANDA = [("upper", {"text": "panda"}, "c1")]


# Basic prompt execution


def test_01_a_model_by_name_and_a_prompt_with_a_key(fakes: Fakes) -> None:
    llm = fakes.library
    fakes.says("Five names")
    response = llm.get_model("fake").prompt("Name a pelican", key="sk-1")
    assert repr(response) == "<Response prompt='Name a pelican' text='... not yet done ...'>"
    assert fakes.prompts == [], "it is lazy"
    assert response.text() == response.text() == "Five names"
    assert repr(response) == "<Response prompt='Name a pelican' text='Five names'>"
    assert fakes.keys == ["sk-1"] and len(fakes.prompts) == 1
    with pytest.raises(llm.UnknownModelError):
        llm.get_model("no such model")


def test_02_the_default_model_and_its_text_by_str(fakes: Fakes) -> None:
    fakes.says("Five names")
    fakes.library.set_default_model("fake")
    assert str(fakes.library.get_model().prompt("Name a pelican")) == "Five names"
    assert fakes.keys == ["from the environment"]


def test_03_a_system_prompt(fakes: Fakes) -> None:
    fakes.says("ok").prompt("Name a pelican", system="Answer like GlaDOS").text()
    [prompt] = fakes.prompts
    assert (prompt.prompt, prompt.system) == ("Name a pelican", "Answer like GlaDOS")
    assert [(each.role, each.parts[0].text) for each in prompt.messages] == [
        ("system", "Answer like GlaDOS"),
        ("user", "Name a pelican"),
    ]


def test_04_attachments_of_three_kinds(fakes: Fakes, tmp_path: Path) -> None:
    llm = fakes.library
    (tmp_path / "a.png").write_bytes(PNG)
    file, data = llm.Attachment(path="a.png"), llm.Attachment(content=PNG)
    url = llm.Attachment(url="https://a.example/b.png", type="image/png")
    fakes.says("ok").prompt("Describe", attachments=[file, url, data]).text()
    given = fakes.prompts[0].attachments
    assert [(each.path, each.url, each.content) for each in given] == [
        ("a.png", None, None),
        (None, "https://a.example/b.png", None),
        (None, None, PNG),
    ]
    assert [each.resolve_type() for each in given] == ["image/png"] * 3
    assert file.content_bytes() == data.content_bytes() == PNG
    assert file.base64_content() == data.base64_content() == "iVBORw0KGgo="
    assert file.id() == data.id() == hashlib.sha256(PNG).hexdigest()
    assert url.id() == hashlib.sha256(b'{"url": "https://a.example/b.png"}').hexdigest()
    [message] = fakes.prompts[0].messages
    assert [type(part).__name__ for part in message.parts] == ["TextPart", *["AttachmentPart"] * 3]
    assert message.parts[2].attachment.url == "https://a.example/b.png"
    assert message.parts[3].attachment.content == PNG


def test_05_the_types_of_attachments_that_a_model_takes(fakes: Fakes) -> None:
    assert "image/png" in fakes.library.get_model("fake").attachment_types
    with pytest.raises(Exception, match="text/csv"):
        fakes.sync.prompt("hi", attachments=[fakes.library.Attachment(content=b"a,b", type="text/csv")])


# Tools


def test_06_calls(fakes: Fakes) -> None:
    response = fakes.says(PANDA).prompt("Convert panda to upper", tools=[upper])
    assert response.tool_calls() == [fakes.library.ToolCall("upper", {"text": "panda"}, "c1")]
    assert fakes.prompts[0].tools[0].name == "upper"
    assert fakes.prompts[0].tools[0].description == "Convert text to uppercase."
    assert fakes.prompts[0].tools[0].implementation is upper


def test_06_a_call_has_an_id_of_its_own_in_the_whole_conversation(fakes: Fakes) -> None:
    nameless = [("upper", {"text": "a"}, None), ("upper", {"text": "b"}, None)]
    talk = fakes.says(nameless, "A B", nameless, "A B").conversation(tools=[upper])
    talk.chain("first").text()
    talk.chain("second").text()
    calls = [call for response in talk.responses for call in response.tool_calls()]
    parts = [part for each in talk.responses[-1].prompt.messages for part in each.parts]
    results = [part for part in parts if type(part).__name__ == "ToolResultPart"]
    assert len({call.tool_call_id for call in calls if call.tool_call_id}) == len(results) >= 2
    assert len({part.tool_call_id for part in results}) == len(results)


def test_07_results(fakes: Fakes) -> None:
    response = fakes.says([*PANDA, ("nope", {}, "c2"), ("fail", {}, "c3")]).prompt("go", tools=[upper, fail])
    done, unknown, failed = response.execute_tool_calls()
    assert (done.name, done.output, done.tool_call_id, done.exception) == ("upper", "PANDA", "c1", None)
    assert unknown.output.startswith("Error: ") and isinstance(unknown.exception, Exception)
    assert failed.output == "Error: no luck" and type(failed.exception) is ValueError


def fail() -> str:
    """Fail."""
    raise ValueError("no luck")


def test_08_a_reply_runs_the_calls(fakes: Fakes) -> None:
    response = fakes.says(PANDA, "It is PANDA").prompt("Convert panda to upper", tools=[upper])
    assert response.reply().text() == "It is PANDA"
    assert [each.role for each in fakes.prompts[1].messages] == ["user", "assistant", "tool"]
    assert fakes.prompts[1].messages[-1].parts[0].output == "PANDA"
    assert [tool.name for tool in fakes.prompts[1].tools] == ["upper"]


def test_09_a_reply_with_results_of_ones_own(fakes: Fakes) -> None:
    response = fakes.says(PANDA, "Le panda").prompt("Convert panda to upper", tools=[upper])
    mine = fakes.library.ToolResult(name="upper", output="Panda!", tool_call_id="c1")
    assert response.reply("translate it", tool_results=[mine]).text() == "Le panda"
    assert [each.role for each in fakes.prompts[1].messages] == ["user", "assistant", "tool", "user"]
    assert fakes.prompts[1].messages[2].parts[0].output == "Panda!"


def test_10_a_chain(fakes: Fakes) -> None:
    assert fakes.says(PANDA, "It is PANDA").chain("Convert panda", tools=[upper]).text() == "It is PANDA"


def test_11_the_chunks_of_a_chain_and_what_stands_between_two_responses(fakes: Fakes) -> None:
    text = fakes.library.get_model("fake")
    stream_event = __import__(f"{fakes.library.__name__}.parts", fromlist=["x"]).StreamEvent if is_llm(fakes) else None
    event = (stream_event or fakes.library.StreamEvent)(type="text", chunk="I look.")
    fakes.says([event, *PANDA], "It is PANDA", [event, *PANDA], " It is")
    assert "".join(text.chain("Convert panda", tools=[upper])) == "I look. It is PANDA"
    assert text.chain("Convert panda", tools=[upper]).text() == "I look. It is", "no second space"


def is_llm(fakes: Fakes) -> bool:
    return bool(fakes.library.__name__ == "llm")


def test_12_the_responses_of_a_chain(fakes: Fakes, capsys: pytest.CaptureFixture[str]) -> None:
    chain = fakes.says(PANDA, "It is PANDA").chain("Convert panda", tools=[upper])
    for response in chain.responses():
        print(response.prompt)
        for chunk in response:
            print(chunk, end="")
    assert "It is PANDA" in capsys.readouterr().out
    assert [len(prompt.messages) for prompt in fakes.prompts] == [1, 3]


def test_12_the_limit_of_a_chain_is_an_attribute(fakes: Fakes) -> None:
    chain = fakes.says(*[PANDA] * 9).conversation(tools=[upper], chain_limit=3).chain("go")
    assert chain.chain_limit == 3
    chain.chain_limit = 1
    with pytest.raises(Exception, match="1"):
        chain.text()
    assert len(fakes.prompts) <= 2


def test_13_a_hook_before_each_call_cancels(fakes: Fakes) -> None:
    llm, seen = fakes.library, []

    def before(tool: Any, call: Any) -> None:
        seen.append(tool.name if tool is not None else None)
        if "bad" in repr(call.arguments):
            raise llm.CancelToolCall("Not allowed")

    calls = [*PANDA, ("upper", {"text": "badger"}, "c2"), ("nope", {}, "c3")]
    assert fakes.says(calls, "done").chain("go", tools=[upper], before_call=before).text() == "done"
    assert seen == ["upper", "upper", None]
    first = fakes.says(calls).prompt("go", tools=[upper])
    results = first.execute_tool_calls(before_call=before)
    assert results[1].output == "Cancelled: Not allowed" and type(results[1].exception) is llm.CancelToolCall


def test_14_a_hook_after_each_call(fakes: Fakes) -> None:
    seen: list[Any] = []

    def after(tool: Any, call: Any, result: Any) -> None:
        seen.append((tool.name, call.arguments, result.output))

    fakes.says(PANDA, "done").chain("go", tools=[upper], after_call=after).text()
    assert seen == [("upper", {"text": "panda"}, "PANDA")]


def test_15_a_tool_is_given_its_call(fakes: Fakes) -> None:
    def lookup(name: str, llm_tool_call: Any) -> str:
        "Look up a name."
        return f"{name} {llm_tool_call.tool_call_id}"

    response = fakes.says([("lookup", {"name": "ida"}, "c9")]).prompt("go", tools=[lookup])
    assert response.execute_tool_calls()[0].output == "ida c9"
    assert list(fakes.prompts[0].tools[0].input_schema["properties"]) == ["name"]


def test_16_17_18_a_tool_pauses_and_the_chain_is_resumed(fakes: Fakes) -> None:
    llm = fakes.library
    approved: list[bool] = []

    def delete(path: str) -> str:
        if not approved:
            raise llm.PauseChain("waiting for approval")
        return f"deleted {path}"

    calls = [("upper", {"text": "a"}, "c1"), ("delete", {"path": "b"}, "c2"), ("upper", {"text": "c"}, "c3")]
    chain = fakes.says(calls).chain("go", tools=[upper, delete], system="Be careful")
    first = None
    with pytest.raises(llm.PauseChain) as paused:
        for first in chain.responses():
            first.text()
    assert first is not None
    assert (paused.value.tool_call.name, paused.value.tool_call.tool_call_id) == ("delete", "c2")
    assert [result.output for result in paused.value.tool_results] == ["A"]
    stored = json.dumps([each.to_dict() for each in [*first.prompt.messages, *first.messages()]])
    approved.append(True)
    history = [llm.Message.from_dict(each) for each in json.loads(stored)]
    ran: list[str] = []
    later = fakes.says("all done").chain(
        messages=history, tools=[upper, delete], after_call=lambda tool, call, result: ran.append(result.output)
    )
    assert later.text() == "all done"
    assert ran == ["A", "deleted b", "C"]
    assert [each.role for each in fakes.prompts[-1].messages] == ["system", "user", "assistant", "tool"]


def test_19_a_tool_returns_attachments(fakes: Fakes) -> None:
    llm = fakes.library

    def draw(prompt: str) -> Any:
        """Draw."""
        return llm.ToolOutput(output="drawn", attachments=[llm.Attachment(content=PNG, type="image/png")])

    assert fakes.says([("draw", {"prompt": "x"}, "c1")], "nice").chain("go", tools=[draw]).text() == "nice"
    assert fakes.prompts[1].messages[2].parts[0].output == "drawn"
    assert [attachment.content for attachment in fakes.prompts[1].attachments] == [PNG]


# Toolboxes


def memory_of(llm: Any) -> Any:
    class Memory(llm.Toolbox):  # type: ignore[misc]
        _memory: dict[str, str] | None = None

        def _get_memory(self) -> dict[str, str]:
            if self._memory is None:
                self._memory = {}
            return self._memory

        def set(self, key: str, value: str) -> None:
            "Set something"
            self._get_memory()[key] = value

        def get(self, key: str) -> str:
            "Get something"
            return self._get_memory().get(key) or ""

        async def later(self) -> str:
            "Wait"
            await asyncio.sleep(0)
            return "now"

    return Memory()


def test_21_22_a_toolbox_keeps_its_state(fakes: Fakes) -> None:
    memory, ran = memory_of(fakes.library), []
    assert sorted(tool.name for tool in memory.tools()) == ["Memory_get", "Memory_later", "Memory_set"]
    talk = fakes.says(
        [("Memory_set", {"key": "name", "value": "Simon"}, "c1")],
        "set",
        [("Memory_get", {"key": "name"}, "c2")],
        "Simon",
    ).conversation(tools=[memory])
    assert talk.chain("Set it", after_call=lambda *told: ran.append(told)).text() == "set"
    assert memory._memory == {"name": "Simon"} and ran[0][2].instance is memory
    assert talk.chain("Get it").text() == "Simon"
    assert fakes.prompts[-1].messages[-1].parts[0].output == "Simon"


def test_23_tools_are_added_to_a_toolbox(fakes: Fakes) -> None:
    def count(self: Any, word: str) -> str:
        return f"{word} in {type(self).__name__}"

    box = memory_of(fakes.library)
    box.add_tool(count, pass_self=True)
    box.add_tool(fakes.library.Tool.function(upper, name="capitals"))
    calls = [("count", {"word": "a"}, "c1"), ("capitals", {"text": "b"}, "c2")]
    results = fakes.says(calls).prompt("go", tools=[box]).execute_tool_calls()
    assert [result.output for result in results] == ["a in Memory", "B"]


# Schemas, fragments, options, keys


def test_24_a_pydantic_model_as_a_schema(fakes: Fakes) -> None:
    import pydantic

    class Dog(pydantic.BaseModel):
        name: str
        age: int

    response = fakes.says('{"name": "Buddy", "age": 3}').prompt("Describe a dog", schema=Dog)
    assert json.loads(response.text()) == {"name": "Buddy", "age": 3}
    assert fakes.prompts[0].schema["required"] == ["name", "age"]


def test_25_a_json_schema(fakes: Fakes) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    fakes.says("{}").prompt("Describe a dog", schema=schema).text()
    assert fakes.prompts[0].schema == schema


@pytest.mark.parametrize("multi", [False, True], ids=["26", "27"])
def test_26_27_a_schema_in_the_short_form(fakes: Fakes, multi: bool) -> None:
    schema = fakes.library.schema_dsl("name, age int, bio: one line", multi=multi)
    inner = schema["properties"]["items"]["items"] if multi else schema
    assert inner["properties"]["age"]["type"] == "integer" and inner["required"] == ["name", "age", "bio"]
    assert inner["properties"]["bio"]["description"] == "one line"
    assert str(fakes.says("{}").prompt("Describe dogs", schema=schema)) == "{}"


def test_28_fragments(fakes: Fakes) -> None:
    fakes.says("ok").prompt(
        "and dogs?", fragments=["one", "two"], system_fragments=["Like Snoopy"], system="Short"
    ).text()
    [prompt] = fakes.prompts
    assert prompt.prompt == prompt.messages[1].parts[0].text == "one\ntwo\nand dogs?"
    assert prompt.system == prompt.messages[0].parts[0].text == "Like Snoopy\n\nShort"


def test_29_options(fakes: Fakes) -> None:
    model = fakes.says("ok", "ok")
    str(model.prompt("Names for otters", options={"temperature": 0.2}))
    str(model.prompt("Names for otters", words=3))
    first, second = (prompt.options for prompt in fakes.prompts)
    assert (first.temperature, first.words, second.temperature, second.words) == (0.2, 10, None, 3)
    with pytest.raises(Exception, match="nope"):
        model.prompt("hi", options={"nope": 1})


def test_30_31_a_key_for_a_prompt_and_for_a_model(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    str(fakes.says("ok").prompt("hi", key="sk-2"))
    model = fakes.says("ok")
    model.key = "sk-3"
    model.prompt("hi").text()
    model.key = None
    assert fakes.keys == ["sk-2", "sk-3"]
    monkeypatch.delenv("FAKE_KEY")
    with pytest.raises(fakes.library.NeedsKeyException):
        fakes.says("ok").prompt("hi").text()
    assert issubclass(fakes.library.NeedsKeyException, fakes.library.ModelError)
    assert fakes.library.get_key(input="given", alias="fake", env="FAKE_KEY") == "given"
    assert fakes.library.get_key(alias="fake", env="FAKE_KEY") is None


# Responses


def test_32_33_the_json_of_the_vendor(fakes: Fakes) -> None:
    assert fakes.says("ok").prompt("3 names").json() == {"raw": True}


def test_34_35_usage(fakes: Fakes) -> None:
    usage = fakes.says("ok").prompt("hi").usage()
    assert usage == fakes.library.Usage(input=3, output=2, details={"deep": {"is": [1]}})


def test_36_the_chunks_of_a_response(fakes: Fakes) -> None:
    response = fakes.says("abcd").prompt("hi")
    assert list(response) == ["ab", "cd"] and list(response) == ["ab", "cd"]
    assert len(fakes.prompts) == 1


def test_37_messages(fakes: Fakes) -> None:
    llm = fakes.library
    history = [llm.system("Be a pirate."), llm.user("France?"), llm.assistant("Paris, matey."), llm.user("Germany?")]
    assert fakes.says("Berlin", "ok", "ok").prompt(messages=history).text() == "Berlin"
    assert [(each.role, each.parts[0].text) for each in fakes.prompts[0].messages] == [
        ("system", "Be a pirate."),
        ("user", "France?"),
        ("assistant", "Paris, matey."),
        ("user", "Germany?"),
    ]
    fakes.sync.prompt("hi", system="Be brief.").text()
    fakes.sync.prompt(messages=[llm.system("Be brief."), llm.user("hi")]).text()
    first, second = fakes.prompts[1:]
    assert first.messages == second.messages
    message = llm.user("look", llm.Attachment(content=PNG, type="image/png"), [parts_of(fakes).TextPart(text="and")])
    assert [type(part).__name__ for part in message.parts] == ["TextPart", "AttachmentPart", "TextPart"]
    with pytest.raises(TypeError):
        llm.user(3)
    with pytest.raises(AttributeError):
        _ = message.nothing


def parts_of(fakes: Fakes) -> Any:
    """The module with the classes of parts: llm does not have them at its top."""
    return fakes.library.parts if is_llm(fakes) else fakes.library


def events_for(fakes: Fakes) -> list[Any]:
    event = parts_of(fakes).StreamEvent
    return [
        event(type="reasoning", chunk="hm"),
        event(type="text", chunk="He"),
        event(type="text", chunk="llo"),
        event(type="tool_call_name", chunk="upper", tool_call_id="c1"),
        event(type="tool_call_args", chunk='{"text": "a"}', tool_call_id="c1"),
        event(type="tool_call_name", chunk="web_search", tool_call_id="c2", server_executed=True),
        event(type="tool_call_args", chunk="{}", tool_call_id="c2", server_executed=True),
        event(type="tool_result", chunk="found", tool_call_id="c2", tool_name="web_search", server_executed=True),
    ]


def test_38_events_as_they_come(fakes: Fakes) -> None:
    response = fakes.says(events_for(fakes)).prompt("Explain")
    events = [event for event in response.stream_events() if event.type not in ("start", "end")]
    assert [(event.type, event.chunk, event.part_index) for event in events] == [
        ("reasoning", "hm", 0),
        ("text", "He", 1),
        ("text", "llo", 1),
        ("tool_call_name", "upper", 2),
        ("tool_call_args", '{"text": "a"}', 2),
        ("tool_call_name", "web_search", 3),
        ("tool_call_args", "{}", 3),
        ("tool_result", "found", 4),
    ]
    assert list(response) == ["He", "llo"] and response.text() == "Hello"


def test_38_events_in_asyncio(fakes: Fakes) -> None:
    async def read() -> list[str]:
        response = fakes.asays(events_for(fakes)).prompt("Explain")
        return [event.chunk async for event in response.astream_events() if event.type == "text"]

    assert asyncio.run(read()) == ["He", "llo"]


def test_39_a_prompt_that_hides_the_reasoning(fakes: Fakes) -> None:
    assert fakes.says("ok").prompt("Explain", hide_reasoning=True).text() == "ok"
    assert fakes.prompts[0].hide_reasoning is True


def test_40_the_parts_of_a_finished_response(fakes: Fakes) -> None:
    [message] = fakes.says(events_for(fakes)).prompt("What's 2+2?").messages()
    assert message.role == "assistant"
    assert [(type(part).__name__, part.to_dict()) for part in message.parts] == [
        ("ReasoningPart", {"type": "reasoning", "text": "hm"}),
        ("TextPart", {"type": "text", "text": "Hello"}),
        ("ToolCallPart", {"type": "tool_call", "name": "upper", "arguments": {"text": "a"}, "tool_call_id": "c1"}
         | ({} if is_llm(fakes) else {"arguments_raw": '{"text": "a"}'})),
        ("ToolCallPart", {"type": "tool_call", "name": "web_search", "arguments": {}, "tool_call_id": "c2",
                          "server_executed": True}),
        ("ToolResultPart", {"type": "tool_result", "name": "web_search", "output": "found", "tool_call_id": "c2",
                            "server_executed": True}),
    ]  # fmt: skip


def test_41_a_response_is_stored_and_continued(fakes: Fakes) -> None:
    llm = fakes.library
    first = fakes.says("4", "7", "7").prompt("What's 2+2?", options={"temperature": 0.5})
    payload = json.loads(json.dumps(first.to_dict()))
    assert payload["model"] == "fake" and payload["usage"]["input"] == 3 and payload["id"] and payload["datetime_utc"]
    assert payload["prompt"]["options"]["temperature"] == 0.5
    again = llm.Response.from_dict(payload)
    assert again.text() == "4" and again.id == payload["id"] and again.usage().input == 3
    assert again.prompt.options.temperature == 0.5
    assert again.reply("Add 3").text() == "7"
    assert [each.role for each in fakes.prompts[-1].messages] == ["user", "assistant", "user"]
    message = llm.Message.from_dict(json.loads(json.dumps(llm.user("hi").to_dict())))
    message.parts[0].text = "changed"
    message.parts.append(parts_of(fakes).TextPart(" twice"))
    assert fakes.sync.prompt(messages=[message]).text() == "7"
    assert [part.text for part in fakes.prompts[-1].messages[0].parts] == ["changed", " twice"]


def test_41_a_dict_of_the_other_library(fakes: Fakes) -> None:
    """What llm has stored is read, with usage, id and time; also by llm itself."""
    stored = {
        "model": "fake",
        "prompt": {"messages": [{"role": "user", "parts": [{"type": "text", "text": "hi"}]}], "system": "s"},
        "messages": [{"role": "assistant", "parts": [{"type": "text", "text": "ho"}]}],
        "id": "01abc",
        "usage": {"input": 5, "output": 2, "details": {"modality": [{"TEXT": 2}]}},
        "datetime_utc": "2026-07-01T12:00:00+00:00",
    }
    again = fakes.library.Response.from_dict(stored)
    assert (again.text(), again.id) == ("ho", "01abc")
    assert again.usage() == fakes.library.Usage(5, 2, {"modality": [{"TEXT": 2}]})
    if not is_llm(fakes):
        assert again.datetime_utc() == "2026-07-01T12:00:00+00:00"
        assert {name: again.to_dict()[name] for name in ("id", "usage", "datetime_utc")} == {
            name: stored[name] for name in ("id", "usage", "datetime_utc")
        }


# Asyncio


def test_42_43_44_a_model_in_asyncio(fakes: Fakes) -> None:
    async def run() -> tuple[str, list[str]]:
        fakes.asays("abcd", "abcd")
        model = fakes.library.get_async_model("fake")
        text = await model.prompt("hi").text()
        return text, [chunk async for chunk in model.prompt("hi")]

    assert asyncio.run(run()) == ("abcd", ["ab", "cd"])


def test_44_a_response_that_was_awaited_is_stored_without_waiting(fakes: Fakes) -> None:
    async def run() -> tuple[Any, str]:
        response = await fakes.asays("abcd").prompt("hi")
        return json.loads(json.dumps(response.to_dict())), repr(response)

    stored, shown = asyncio.run(run())
    assert stored["messages"][0]["parts"] == [{"type": "text", "text": "abcd"}]
    assert shown == "<AsyncResponse prompt='hi' text='abcd'>"


def test_45_a_coroutine_is_a_tool_of_any_program(fakes: Fakes) -> None:
    async def hello(name: str) -> str:
        "Say hello"
        return f"Hello {name}"

    assert fakes.says([("hello", {"name": "Percival"}, "c1")], "ok").chain("go", tools=[hello]).text() == "ok"
    assert fakes.prompts[1].messages[-1].parts[0].output == "Hello Percival"


def test_46_47_a_chain_in_asyncio(fakes: Fakes) -> None:
    ran: list[str] = []

    async def run() -> tuple[str, list[str]]:
        model = fakes.asays(PANDA, "It is", PANDA, "It is")
        text = await model.chain("go", tools=[upper], after_call=lambda *told: ran.append(told[2].output)).text()
        return text, [chunk async for chunk in model.chain("go", tools=[upper])]

    assert asyncio.run(run()) == ("It is", ["It", " is"])
    assert ran == ["PANDA"]


def test_48_a_reply_in_asyncio(fakes: Fakes) -> None:
    async def run() -> str:
        response = fakes.asays(PANDA, "It is PANDA").prompt("Convert panda", tools=[upper])
        await response.text()
        follow_up = await response.reply()
        return str(await follow_up.text())

    assert asyncio.run(run()) == "It is PANDA"


# Conversations


def test_49_50_51_a_conversation(fakes: Fakes) -> None:
    talk = fakes.says("five", "skunks").conversation()
    assert talk.responses == []
    assert talk.prompt("Pelicans").text() == "five"
    assert talk.prompt("Now skunks").text() == "skunks"
    assert [each.parts[0].text for each in fakes.prompts[1].messages] == ["Pelicans", "five", "Now skunks"]
    assert [response.text() for response in talk.responses] == ["five", "skunks"]


def test_51_messages_replace_what_was_said(fakes: Fakes) -> None:
    talk = fakes.says("five", "skunks", "more").conversation()
    talk.prompt("Pelicans").text()
    talk.prompt("Now skunks", messages=[fakes.library.user("Otters"), fakes.library.assistant("six")]).text()
    talk.prompt("And now?").text()
    texts = [[each.parts[0].text for each in prompt.messages] for prompt in fakes.prompts]
    assert texts[1:] == [["Otters", "six", "Now skunks"], ["Otters", "six", "Now skunks", "skunks", "And now?"]]


def test_52_an_attachment_in_a_conversation(fakes: Fakes) -> None:
    talk = fakes.says("a bird").conversation()
    assert talk.prompt("Describe", attachments=[fakes.library.Attachment(content=PNG)]).text() == "a bird"
    assert fakes.prompts[0].attachments[0].content == PNG


def test_53_54_the_tools_and_hooks_of_a_conversation(fakes: Fakes) -> None:
    ran: list[str] = []
    talk = fakes.says(PANDA, "one", PANDA, "two").conversation(
        tools=[upper], after_call=lambda tool, call, result: ran.append(result.output)
    )
    assert talk.chain("Convert panda").text() == "one"
    assert talk.chain("Same with pangolin").text() == "two"
    assert ran == ["PANDA", "PANDA"] and len(talk.responses) == 4
    assert len(fakes.prompts[-1].messages) == 7


# Lists, callbacks, settings


def test_55_56_all_models(fakes: Fakes) -> None:
    assert fakes.sync in fakes.library.get_models()
    assert fakes.asynchronous in fakes.library.get_async_models()
    assert all(model.model_id for model in fakes.library.get_models())


def test_57_58_a_callback_when_a_response_is_over(fakes: Fakes) -> None:
    seen: list[Any] = []
    response = fakes.says("ok").prompt("hi")
    response.on_done(lambda response: seen.append(response.usage().input))
    assert seen == [] and response.text() == "ok" and seen == [3]

    async def run() -> None:
        async def done(response: Any) -> None:
            seen.append((await response.usage()).output)

        later = fakes.asays("ok").prompt("hi")
        await later.on_done(done)
        await later.text()

    asyncio.run(run())
    assert seen == [3, 2]


def test_59_60_aliases(fakes: Fakes) -> None:
    fakes.library.set_alias("mini", "fake")
    assert fakes.library.get_model("mini") is fakes.sync
    fakes.library.set_alias("tiny", "alias")
    assert fakes.library.get_async_model("tiny") is fakes.asynchronous
    fakes.library.remove_alias("mini")
    with pytest.raises(fakes.library.UnknownModelError):
        fakes.library.get_model("mini")
    with pytest.raises(KeyError):
        fakes.library.remove_alias("mini")


def test_61_62_63_the_default_model(fakes: Fakes, tmp_path: Path) -> None:
    assert fakes.library.get_default_model(default=None) is None
    fakes.library.set_default_model("alias")
    assert fakes.library.get_default_model() == "alias"
    assert fakes.library.get_model() is fakes.sync
    assert fakes.library.user_dir() == tmp_path


# What differs


def test_every_name_of_llm_is_a_name_of_llmtools_or_in_the_table() -> None:
    import llm

    import llmtools

    page = (ROOT / "man" / "llmtools.7").read_text("utf-8")
    table = page[page.index(".Ss What differs from llm") : page.index(".Sh EXIT STATUS")]
    missing = {name for name in llm.__all__ if name not in llmtools.__all__}
    assert {name for name in missing if not re.search(rf"\b{name}\b", table)} == set()
    assert missing == {"AsyncConversation", "Collection", "Fragment", "ServerSideTool", "Template", "hookimpl"}


def test_20_a_tool_that_the_vendor_runs_is_a_record() -> None:
    import llmtools

    record = {"name": "web_search", "provider_metadata": {"openai": {"type": "web_search"}}}
    response = llmtools.get_model("echo").prompt("hi", tools=[record])
    assert response.prompt.tools[0].record() == {**record, "type": "tool"}
    assert llmtools.get_model("echo").prompt("hi", tools=response.prompt.tools).prompt.offered.records == {
        "web_search": {**record, "type": "tool"}
    }


def test_llm_reads_what_we_store() -> None:
    import llm

    import llmtools

    ours, theirs = Fakes("llmtools"), Fakes("llm")
    stored = ours.says(events_for(ours)).prompt("hi", key="k", attachments=[llmtools.Attachment(content=PNG)]).to_dict()
    again = llm.Response.from_dict(json.loads(json.dumps(stored)), model=theirs.sync)
    assert again.text() == "Hello" and again.usage().input == 3
    assert vars(again.prompt.messages[0].parts[1])["attachment"].content == PNG


def test_a_class_of_pydantic_as_options() -> None:
    import pydantic

    import llmtools

    class Counted(llmtools.Model):
        model_id = "counted"

        class Options(pydantic.BaseModel):
            words: int = pydantic.Field(default=3, ge=1)

        def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Iterator[str]:
            yield str(prompt.options.words)

    assert [Counted().prompt("hi").text(), Counted().prompt("hi", options={"words": "7"}).text()] == ["3", "7"]
    assert Counted().prompt("hi", options={"words": 7}).to_dict()["prompt"]["options"] == {"words": 7}
    with pytest.raises(ValueError, match="words"):
        Counted().prompt("hi", options={"words": 0})
