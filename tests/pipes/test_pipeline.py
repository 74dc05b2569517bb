"""What the whole pipe does: statuses, failures, the shapes a shell user knows."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from support.harness import Shell, texts, wait_for

CUT = json.dumps({"text": "a b c", "cut": True})
LIMITED = json.dumps({"text": "a b", "error": {"code": "rate_limited", "message": "slow down"}})
FAILS_AT_ONCE = json.dumps({"error": {"code": "key_refused", "message": "no entry"}})


def test_the_first_pipe_prints_the_answer(shell: Shell) -> None:
    done = shell.run("llm-msg user 'hi' | llm-send -m echo | llm-parts --type text")
    assert (done.status, done.text, done.err) == (0, "hi\n", "")


def test_every_record_of_a_reply_comes_in_order(shell: Shell) -> None:
    records = shell.run("llm-msg user 'one two' | llm-send -m echo").records
    assert [record["type"] for record in records] == ["message", "start", "text", "text", "message", "end"]
    message, end = records[-2:]
    assert message["response"]["model"] == "echo"
    assert message["response"]["status"] == end["status"] == "ok"
    assert message["response"]["usage"] == end["usage"] == {"input": 2, "output": 2}


def test_two_and_three_turns_keep_history_and_drop_old_events(shell: Shell) -> None:
    done = shell.run(
        "llm-msg system 'Be brief' | llm-msg user one | llm-send -m echo | llm-msg user two | llm-send"
        " | llm-msg user three | llm-send"
    )
    said = [("system", "Be brief")] + [
        (role, text) for text in ("one", "two", "three") for role in ("user", "assistant")
    ]
    assert texts(done.records) == said
    assert [record["type"] for record in done.records].count("start") == 1


FAILURES = [
    ("llm-msg user hi | llm-msg nobody x | llm-send -m echo | llm-parts", 2, [2, 2, 2]),
    ("llm-msg user hi | llm-msg --no-such-option | llm-msg user x | llm-send -m echo | llm-parts", 2, [2, 2, 2, 2]),
    ("llm-msg user hi -f missing.txt | llm-msg user x | llm-send -m echo | llm-parts", 66, [66, 66, 66, 66]),
    (f"llm-msg user '{CUT}' | llm-send -m echo | llm-msg user x | llm-send -m echo | llm-parts", 75, [75, 75, 75, 75]),
    (f"llm-msg user '{LIMITED}' | llm-send -m echo | llm-msg user x | llm-send | llm-parts", 75, [75, 75, 75, 75]),
    (f"llm-msg user '{FAILS_AT_ONCE}' | llm-send -m echo | llm-msg user x | llm-parts", 77, [77, 77, 77]),
    ("llm-msg user hi | llm-send -m no/such | llm-msg user x | llm-send -m echo | llm-parts", 78, [78, 78, 78, 78]),
    ("llm-msg user hi | llm-send | llm-parts", 78, [78, 78]),
    ("llm-msg user hi | sed 's/parts/prats/' | llm-msg user x | llm-send -m echo | llm-parts", 65, [65, 65, 65]),
]


@pytest.mark.parametrize(("script", "status", "tail"), FAILURES)
@pytest.mark.parametrize("pipefail", ["", "set -o pipefail; "])
def test_every_later_stage_ends_as_the_first_failure_which_is_reported_once(
    shell: Shell, script: str, status: int, tail: list[int], pipefail: str
) -> None:
    done, statuses = shell.statuses(pipefail + script)
    assert statuses[-len(tail) :] == tail
    assert shell.run(pipefail + script).status == status
    said = [line for line in done.err.splitlines() if "STATUSES" not in line]
    assert len(said) == 1, done.err


def test_a_reader_with_another_stderr_reports_the_failure_too(shell: Shell) -> None:
    done = shell.run(f"llm-msg user '{FAILS_AT_ONCE}' | llm-send -m echo 2>first | llm-msg user x | llm-parts")
    assert done.status == 77
    first = (shell.folder / "first").read_text()
    assert first.startswith("llm-send: echo: ")
    assert done.err == "".join([first.replace("llm-send", name) for name in ("llm-msg", "llm-parts")])


def test_a_saved_failure_is_reported_by_whoever_reads_it(shell: Shell) -> None:
    shell.run(f"llm-msg user '{FAILS_AT_ONCE}' | llm-send -m echo > failed.jsonl")
    reads = {name: shell.run(f"{name} < failed.jsonl").err.partition(":")[0] for name in ("llm-log", "llm-parts")}
    assert reads == {"llm-log": "llm-log", "llm-parts": "llm-parts"}


def test_nothing_is_sent_and_nothing_added_on_a_failed_stream(shell: Shell) -> None:
    done = shell.run(f"llm-msg user '{LIMITED}' | llm-send -m echo | llm-msg user more | llm-send -m echo -s X")
    assert texts(done.records)[1:] == [("user", LIMITED), ("assistant", "a b")]
    assert [record["type"] for record in done.records].count("start") == 1
    alone = shell.run(f"llm-msg user '{LIMITED}' | llm-send -m echo").records
    types = [record["type"] for record in alone]
    assert types == ["message", "start", "text", "text", "error", "message", "end"]
    assert [r["type"] for r in done.records if r.get("role") != "system"] == types


def test_a_killed_sender_leaves_a_cut_stream(shell: Shell) -> None:
    slow = json.dumps({"text": "a b c d e f g h i j k l m n o p", "delay": 0.4})
    script = (
        f"llm-msg user '{slow}' | {{ llm-send -m echo & sleep 2.5; kill -9 $!; wait $! 2>/dev/null; }}"
        " | llm-msg user more | llm-send -m echo | llm-parts"
    )
    done, statuses = shell.statuses(script)
    assert statuses[2:] == [75, 75, 75]
    assert done.text.startswith("a b") and done.text.endswith("\n")
    assert "more" not in done.text


@pytest.mark.slow
def test_later_stages_report_a_killed_msg(shell: Shell) -> None:
    script = (
        "(llm-msg user hi; sleep 5) | { llm-msg user x & sleep 2; kill $!; wait $!; } | llm-send -m echo | llm-parts"
    )
    done, statuses = shell.statuses(script)
    assert statuses[2:] == [75, 75]
    assert done.text == ""


def test_jq_in_between(shell: Shell) -> None:
    only = shell.run("""llm-msg user 'a b' | llm-send -m echo | jq -c 'select(.type=="message")' | llm-parts""")
    assert (only.status, only.text) == (0, "a b\n")
    upper = 'if .type=="text" then .chunk|=ascii_upcase else . end'
    done = shell.run(f"llm-msg user hi | llm-send -m echo | jq -c '{upper}' | llm-parts")
    assert (done.status, done.text) == (0, "HI\n")
    broken, statuses = shell.statuses(
        "llm-msg user hi | jq -c .no.such.thing 2>/dev/null | llm-send -m echo | llm-parts"
    )
    assert statuses[2:] == [65, 65], broken.err


def test_a_file_cut_anywhere_is_never_a_success_before_the_message(shell: Shell) -> None:
    shell.run("llm-msg user 'a b c' | llm-send -m echo > whole.jsonl")
    count = len((shell.folder / "whole.jsonl").read_bytes().splitlines())
    for lines in range(count + 1):
        done = shell.run(f"head -n {lines} whole.jsonl | llm-parts")
        sent = shell.run(f"head -n {lines} whole.jsonl | llm-msg user more | llm-send -m echo | llm-parts --all --json")
        if lines < 2:
            assert done.status == 66
        elif lines < count - 1:
            assert (done.status, sent.status) == (75, 75)
            assert b"more" not in sent.out
        else:
            assert (done.status, done.text, sent.status) == (0, "a b c\n", 0)


def test_a_later_good_reply_heals(shell: Shell) -> None:
    shell.run(f"llm-msg user '{LIMITED}' | llm-send -m echo > failed.jsonl")
    retried = shell.run("(cat failed.jsonl; llm-msg -n user again) | llm-send --anyway | tee healed.jsonl | llm-parts")
    assert (retried.status, retried.text) == (0, "again\n")
    later = shell.run("llm-msg user more < healed.jsonl | llm-send | llm-parts")
    assert (later.status, later.text) == (0, "more\n")
    records = [json.loads(line) for line in (shell.folder / "healed.jsonl").read_bytes().splitlines()]
    assert [record["type"] for record in records].count("error") == 1, "an error is history that is not dropped"


def test_the_old_reply_is_never_shown_as_the_new_one(shell: Shell) -> None:
    shell.run("llm-msg user old | llm-send -m echo > old.jsonl; llm-msg -n user new > new.jsonl")
    for script in (
        "llm-msg user new < old.jsonl | llm-parts",
        "llm-msg user new < old.jsonl > both.jsonl; llm-parts < both.jsonl",
        "cat old.jsonl new.jsonl | llm-parts",
        "llm-msg user new < old.jsonl | llm-parts --json",
        "llm-msg user new < old.jsonl | llm-parts --whole",
    ):
        done = shell.run(script)
        assert (done.status, done.text) == (66, ""), script
    failed = shell.run(f"llm-msg user '{FAILS_AT_ONCE}' < old.jsonl | llm-send -m echo | llm-parts")
    assert (failed.status, failed.text) == (77, "")


def test_anyway_drops_incomplete_calls_with_a_notice(shell: Shell) -> None:
    script = json.dumps({"text": "x", "tool_calls": [{"name": "f", "arguments": {"a": 1}}], "cut": True})
    shell.run(f"llm-msg user '{script}' | llm-send -m echo > cut.jsonl")
    done = shell.run("(cat cut.jsonl; llm-msg -n user on) | llm-send --anyway")
    assert done.status == 0
    notices = [record for record in done.records if record["type"] == "notice"]
    assert [notice["code"] for notice in notices] == ["dropped_call"]


def test_a_conversation_that_ends_with_the_model_is_refused(shell: Shell) -> None:
    script = "llm-msg user hi | llm-send -m echo | llm-send"
    assert shell.run(script).status == 65
    assert "--prefill" in shell.run(script).err
    assert shell.run(script + " --prefill | llm-parts").status == 0


def test_fork_with_head_tee_and_cat(shell: Shell) -> None:
    shell.run(
        "llm-msg user one | llm-send -m echo --no-events | tee talk.jsonl | llm-msg user two | llm-send > long.jsonl"
    )
    fork = shell.run("head -n 2 long.jsonl | llm-msg user other | llm-send -m echo | llm-parts")
    assert fork.text == "other\n"
    joined = shell.run("cat talk.jsonl <(llm-msg -n user three) | llm-send | llm-parts")
    assert joined.text == "three\n"


def test_named_pipes_and_process_substitution(shell: Shell) -> None:
    done = shell.run("mkfifo p; llm-msg user hi | llm-send -m echo > p & llm-parts < p")
    assert (done.status, done.text) == (0, "hi\n")
    done = shell.run("llm-parts < <(llm-msg user hi | llm-send -m echo)")
    assert (done.status, done.text) == (0, "hi\n")
    done = shell.run("llm-msg user hi | llm-send -m echo | tee >(llm-parts --usage > usage) | llm-parts")
    wait_for(shell.folder / "usage", b"\n")
    assert done.text == "hi\n"
    assert json.loads((shell.folder / "usage").read_bytes()) == {"input": 1, "output": 1}


def test_xargs_and_parallel(shell: Shell) -> None:
    done = shell.run("printf 'a\\nb\\n' | xargs -I{} sh -c 'llm-msg -n user {} | llm-send -m echo | llm-parts'")
    assert done.text == "a\nb\n"
    if shell.run("command -v parallel").status:
        pytest.skip("GNU parallel is not installed")
    done = shell.run(
        "printf 'a\\nb\\nc\\n' | parallel --will-cite -k 'llm-msg -n user {} | llm-send -m echo | llm-parts'"
    )
    assert done.text == "a\nb\nc\n"


def test_while_read_loops(shell: Shell) -> None:
    (shell.folder / "list").write_text("a\nb\nc\n")
    good = shell.run('while read -r x; do llm-msg -n user "$x" | llm-send -m echo | llm-parts; done < list')
    assert good.text == "a\nb\nc\n"
    bad = shell.run('while read -r x; do echo "got $x"; llm-msg user "$x" | llm-send -m echo | llm-parts; done < list')
    assert bad.text == "got a\ngot b\ngot c\nc\n", "the loop keeps its own stdin"
    assert "-n" in bad.err and "-f -" in bad.err
    last = shell.run('while read -r x; do llm-msg user "$x" > /dev/null; done < list; echo')
    assert "stdin line 1" in last.err


def test_text_on_stdin_is_refused_with_both_ways_out(shell: Shell) -> None:
    done = shell.run("printf 'diff --git a b\\n+x\\n' | llm-msg user 'Commit message' | llm-send -m echo | llm-parts")
    assert done.status == 65
    assert "-f -" in done.err and "-n" in done.err
    done = shell.run(
        "printf 'diff --git a b\\n+x\\n' | llm-msg user -f - 'Commit message' | llm-send -m echo | llm-parts"
    )
    assert (done.status, done.text) == (0, "diff --git a b\n+x\n\nCommit message\n")


def test_cron_and_nohup(shell: Shell) -> None:
    pipe = "llm-msg user hi | llm-send -m echo | llm-parts"
    bare = f"env -i HOME=$HOME PATH=$PATH sh -c '{pipe}'"
    for stdin in ("< /dev/null", "<&-", "< <(true)"):
        done = shell.run(f"{bare} {stdin}")
        assert (done.status, done.text, done.err) == (0, "hi\n", ""), stdin
    done = shell.run(f"nohup sh -c '{pipe}'")
    assert done.text == "hi\n"


def test_conversation_records_are_streams_of_their_own(shell: Shell) -> None:
    rows = [
        {"type": "conversation", "id": name, "messages": [{"type": "message", "role": "user", "parts": parts}]}
        for name, parts in (("a", [{"type": "text", "text": "x"}]), ("b", [{"type": "text", "text": LIMITED}]))
    ]
    (shell.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = shell.run("llm-send -m echo < rows.jsonl > out.jsonl")
    assert done.status == 75
    assert done.err == "llm-send: conversation b: echo: slow down\n"
    first, second = shell.run("cat out.jsonl").records
    assert texts(first["messages"]) == [("user", "x"), ("assistant", "x")]
    assert second["error"]["code"] == "rate_limited"
    assert texts(second["messages"])[-1] == ("assistant", "a b")
    more = shell.run("llm-msg user y < out.jsonl")
    assert more.status == 75
    assert [len(record["messages"]) for record in more.records] == [3, 2]
    shown = shell.run("llm-parts -0 < out.jsonl")
    assert (shown.status, shown.out) == (75, b"x\0a b\0")
    assert shell.run("llm-parts < out.jsonl").text == "x\na b\n"


def test_save_holds_the_history_however_the_run_ends(shell: Shell) -> None:
    for prompt, status in (("hi", 0), (LIMITED, 75), (CUT, 75), (FAILS_AT_ONCE, 77)):
        done = shell.run(f"llm-msg system s | llm-msg user '{prompt}' | llm-send -m echo --save talk.jsonl > all.jsonl")
        assert done.status == status
        everything = shell.run("cat all.jsonl").records
        saved = shell.run("cat talk.jsonl").records
        assert saved == [record for record in everything if record["type"] in ("message", "tool")]
    shell.run("llm-msg user hi | llm-send -m echo -s 'Be brief' --save talk.jsonl")
    said = [("system", "Be brief"), ("user", "hi"), ("assistant", "hi")]
    assert texts(shell.run("cat talk.jsonl").records) == said
    saved = shell.run("cat talk.jsonl").records
    assert shell.run("llm-msg user hi | llm-send -m echo --save no/such/dir").status == 73
    assert sorted(os.listdir(shell.folder)) == ["all.jsonl", "talk.jsonl"]
    full = shell.run("ulimit -f 1; llm-msg user - | llm-send -m echo --save talk.jsonl", stdin=b"x" * 4000)
    assert full.status == 74
    assert shell.run("cat talk.jsonl").records == saved, "a file that cannot be written stays as it was"
    onto_itself = shell.run("llm-msg -n user hi > t; llm-msg user more < t | llm-send -m echo --save t; llm-parts < t")
    assert onto_itself.text.endswith("more\n")


def test_a_file_is_read_to_the_size_it_had(shell: Shell) -> None:
    shell.run("llm-msg user one > talk.jsonl")
    done = shell.run("llm-msg user two < talk.jsonl >> talk.jsonl")
    assert done.status == 0
    assert texts(shell.run("cat talk.jsonl").records) == [("user", "one"), ("user", "one"), ("user", "two")]


def test_what_is_not_changed_is_passed_on_byte_for_byte(shell: Shell) -> None:
    odd = (
        b'{ "type":"message", "role":"user","parts":[{"type":"text","text":"\\u0068i"}],'
        b'"x":1e400,"n":18446744073709551616}\r\n'
        b'{"type":"x-unknown","any":[1.0,1e5]}\n{"type":"tool","name":"t","input_schema":{},"more":0.10}'
    )
    for command in ("llm-msg user hi", "llm-send -m echo"):
        assert shell.run(command, stdin=odd).out.startswith(odd + b"\n"), command


def test_bare_messages_and_untidy_lines_are_read(shell: Shell) -> None:
    untidy = (
        b'\xef\xbb\xbf{"role":"user","content":"hi"}\r\n\n  \n{"role":"user","parts":[{"type":"text","text":"there"}]}'
    )
    done = shell.run("llm-msg user you | llm-send -m echo | llm-parts --all", stdin=untidy)
    assert done.text == "hi\nthere\nyou\nyou\n"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"type":"message"}', "role is missing"),
        (b'{"type":"message","role":"user","parts":{}}', "parts must be a list"),
        (b'{"type":"message","role":"king","parts":[]}', "one of system, user, assistant, tool"),
        (b"[1,2]", "not a JSON object"),
        (b'{"a":1}', "has no type"),
        (b'{"type":"text","chunk":1,"part_index":0}', "chunk must be a string"),
        (b'{"type":"message","role":"user","parts":[{"type":"text","text":"\xff"}]}', "UTF-8"),
        (b'{"type":"message","role":"user","parts":[{"type":"text","text":"\\ud800"}]}', "surrogate"),
        (b'{"type":"message","role":"user","parts":[', "unexpected end of data"),
        (b'{"type":"x","y":' + b"[" * 100000, "depth"),
        (b'{"type":"x","y":NaN}', "not JSON"),
        (b"{} {}", "not JSON"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number_after_what_was_before_it(shell: Shell, line: bytes, says: str) -> None:
    before = b'{"type":"message","role":"user","parts":[{"type":"text","text":"ok"}]}\n'
    for command in ("llm-msg user x", "llm-send -m echo", "llm-parts"):
        done = shell.run(command, stdin=before + line + b"\n" + before)
        assert done.status == 65
        assert done.err.startswith(f"{command.split()[0]}: stdin line 2: ") and says in done.err, done.err
        assert done.err.count("\n") == 1
        if command != "llm-parts":
            assert done.out.startswith(before)
            assert [record["type"] for record in done.records] == ["message", "error"]


def test_events_before_a_wrong_line_go_out_too(shell: Shell) -> None:
    before = b'{"type":"start","response_id":"r","model":"echo"}\n{"type":"text","chunk":"paid for","part_index":0}\n'
    for command in ("llm-msg user x", "llm-send -m echo"):
        done = shell.run(command, stdin=before + b"nonsense\n")
        assert done.status == 65
        assert done.out.startswith(before), command
        assert [record["type"] for record in done.records] == ["start", "text", "error"]


def test_arguments_that_are_no_utf8_are_named(shell: Shell) -> None:
    done = shell.run("llm-msg user $'\\xff'")
    assert done.status == 2
    assert "not UTF-8" in done.err


def test_the_library_is_the_same_pipe(shell: Shell) -> None:
    program = (
        "import llmtools\n"
        "for event in llmtools.stream([llmtools.user('hi there')], model='echo'):\n"
        "    if event['type'] == 'text':\n"
        "        print(event['chunk'], end='')\n"
    )
    (shell.folder / "pipe.py").write_text(program)
    assert shell.run("python pipe.py").text == "hi there"


def test_echo_answers_tool_results_with_their_outputs(shell: Shell) -> None:
    script = json.dumps({"tool_calls": [{"name": "add", "arguments": {"a": 1}, "tool_call_id": "c1"}]})
    done = shell.run(f"llm-msg user '{script}' | llm-send -m echo | llm-msg tool 42 | llm-send | llm-parts")
    assert (done.status, done.text) == (0, "42\n")


def test_replay_plays_a_saved_stream(shell: Shell) -> None:
    shell.run("llm-msg user one | llm-send -m echo | llm-msg user two | llm-send > saved.jsonl")
    done = shell.run(
        "llm-msg user x | llm-send -m replay/saved.jsonl | llm-msg user y | llm-send -m replay/saved.jsonl"
    )
    assert texts(done.records) == [("user", "x"), ("assistant", "one"), ("user", "y"), ("assistant", "two")]
    assert done.records[-1]["model_served"] == "echo"
    never = shell.run("llm-msg user x | llm-send -m replay/saved.jsonl | llm-msg user y | llm-send")
    assert never.status == 78 and "which only -m may name" in never.err
    assert shell.run("llm-msg user x | llm-send -m replay/missing").status == 66


def test_options_are_part_of_the_record(shell: Shell) -> None:
    records = shell.run("llm-msg user x | llm-send -m echo -o temperature 0.5 -o stop '[\"a\"]' -o tag red").records
    options = {"temperature": 0.5, "stop": ["a"], "tag": "red"}
    assert records[1]["request"]["options"] == options
    assert records[-2]["response"]["request"]["options"] == options


def test_system_option_is_the_first_message_once(shell: Shell) -> None:
    said = [("system", "Be brief"), ("user", "hi"), ("assistant", "hi")]
    assert texts(shell.run("llm-msg user hi | llm-send -m echo -s 'Be brief'").records) == said
    twice = "llm-msg system 'Be brief' | llm-msg user hi | llm-send -m echo -s 'Be brief'"
    assert texts(shell.run(twice).records) == said


def test_length_and_refusal(shell: Shell) -> None:
    done = shell.run("""llm-msg user '{"text":"a","finish_reason":"length"}' | llm-send -m echo | llm-parts""")
    assert (done.status, done.text) == (0, "a\n")
    records = shell.run("""llm-msg user '{"text":"a","finish_reason":"length"}' | llm-send -m echo""").records
    assert "length" in [record.get("code") for record in records]
    done, statuses = shell.statuses("""llm-msg user '{"refusal":"I will not"}' | llm-send -m echo | llm-parts""")
    assert statuses == [0, 1, 1]


@pytest.mark.slow
def test_an_idle_stdin_ends_with_advice(shell: Shell) -> None:
    for command in ("llm-msg user hi", "llm-send -m echo", "llm-parts"):
        process = shell.start(f"{command} --wait 0.3")
        assert process.wait(20) == 66
        assert process.stderr
        assert b"-n" in process.stderr.read()
    done = shell.run("sleep 4 | LLMTOOLS_WAIT=0.2 llm-msg user hi | llm-send -m echo | llm-parts")
    assert done.status == 66
    assert shell.run("(sleep 0.6; llm-msg -n user hi) | LLMTOOLS_WAIT=0.1 llm-msg -n user x | cat").status == 0


def test_stdout_closed_or_full(shell: Shell) -> None:
    for command in (
        "llm-msg -n user hi",
        "llm-msg user hi | llm-send -m echo",
        "llm-msg user hi | llm-send -m echo | llm-parts",
    ):
        assert shell.run(f"({command}) >&-").status == 74, command
        full = shell.run(f"({command}) > /dev/full")
        assert full.status == 74, command
        assert full.err.count("\n") == 1 and "No space left" in full.err


def test_a_save_file_that_is_full_fails_the_pipe(shell: Shell) -> None:
    _, statuses = shell.statuses("llm-msg user hi | llm-send -m echo --save /dev/full | llm-parts")
    assert statuses == [0, 74, 74]


def test_closed_descriptors_are_no_harm(shell: Shell) -> None:
    done = shell.run("llm-msg user hi <&- 2>&- | llm-send -m echo 2>&- | llm-parts 2>&-")
    assert (done.status, done.text) == (0, "hi\n")
    assert shell.run("llm-msg user hi <&- >&- 2>&-").status == 74


def test_status_words_are_one_line_with_nothing_that_drives_a_terminal(shell: Shell) -> None:
    nasty = "evil\\u001b]0;x\\u0007\\nsecond"
    script = '{"error":{"code":"failed","message":"' + nasty + '"}}'
    done = shell.run(f"llm-msg user '{script}' | llm-send -m echo")
    assert done.err == "llm-send: echo: evil␛]0;x␇ second\n"


def test_many_writers_to_one_terminal_do_not_lose_a_blocked_write(shell: Shell) -> None:
    """A stdout that is set non-blocking by another process still gets every byte."""
    program = (
        "import os,sys,subprocess,time\n"
        "r,w=os.pipe(); os.set_blocking(w,False)\n"
        "p=subprocess.Popen(['llm-msg','user','-'],stdin=subprocess.PIPE,stdout=w); os.close(w)\n"
        "p.stdin.write(b'x'*300000); p.stdin.close(); time.sleep(0.5); n=0\n"
        "while True:\n    d=os.read(r,65536)\n    n+=len(d)\n    if not d: break\n"
        "print(n, p.wait())\n"
    )
    (shell.folder / "w.py").write_text(program)
    count, status = shell.run("python w.py").text.split()
    assert int(count) > 300000 and status == "0"


def test_each_command_says_its_version(shell: Shell) -> None:
    for command in ("llm-msg", "llm-send", "llm-parts"):
        assert re.fullmatch(rf"{command} \d+\.\d+\.\d+\n", shell.run(f"{command} --version").text)


def test_a_terminal_is_refused_where_a_stream_is_needed(shell: Shell) -> None:
    for command in ("llm-send -m echo", "llm-parts"):
        done = shell.run(f"script -qec '{command}' /dev/null < /dev/null; exit ${{PIPESTATUS[0]}}")
        assert done.status == 2, done
        assert "stdin is a terminal" in done.text


def test_stdin_kinds(shell: Shell) -> None:
    assert shell.run("llm-send -m echo < /dev/null").status == 66
    assert shell.run("llm-send -m echo", stdin=b"").status == 66
    assert shell.run("llm-parts < /dev/null").status == 66
    program = (
        "import socket,subprocess\n"
        "a,b=socket.socketpair()\n"
        'a.sendall(b\'{"role":"user","content":"hi"}\'); a.shutdown(socket.SHUT_WR)\n'
        "print(subprocess.run(['llm-msg','user','x'],stdin=b,capture_output=True).stdout.count(b'\\n'))\n"
    )
    (shell.folder / "s.py").write_text(program)
    assert shell.run("python s.py").text == "2\n"


def test_records_survive_a_home_that_cannot_be_written(shell: Shell, tmp_path: Path) -> None:
    done = shell.run("llm-msg user hi | llm-send -m echo | llm-parts", env={"HOME": "/nonexistent"})
    assert (done.status, done.text) == (0, "hi\n")
