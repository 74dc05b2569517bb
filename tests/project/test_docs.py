"""What is written is what is there: man pages, README and --help, held against the code.

An example of a man page is a literal display under EXAMPLES or ECHO SCRIPTS. Comments before
it say what it prints (`.\" out: LINE`), what it needs (`.\" needs: PROGRAM`), or why it
is not run (`.\" not run: REASON`).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

import click
import pytest

from llmtools import __version__, errors
from llmtools.records import check, jsonl
from llmtools.records.conversation import Conversation
from support import completion_scripts
from support.harness import LIMIT, Shell
from support.paths import ROOT

MAN = ROOT / "man"
PAGES = sorted(path.name for path in MAN.iterdir())
COMMANDS = completion_scripts.commands()
README = (ROOT / "README.md").read_text("utf-8")
ESCAPES = {r"\(aq": "'", r"\(ga": "`", r"\(ha": "^", r"\(ti": "~", r"\-": "-", r"\e": "\\"}
ORDER = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]


def page(name: str) -> str:
    return (MAN / name).read_text("utf-8")


def section(text: str, name: str) -> str:
    found = re.search(rf"^\.Sh {name}\n(.*?)(?=^\.Sh |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no section {name}"
    return found[1]


def subsections(text: str) -> dict[str, str]:
    """Return the text under each title of a section; under "" what precedes the first title."""
    before, *rest = re.split(r"^\.Ss (.*)\n", text, flags=re.MULTILINE)
    return {"": before, **dict(zip(rest[::2], rest[1::2], strict=True))}


def plain(line: str) -> str:
    return re.sub(r"\\\(aq|\\\(ga|\\\(ha|\\\(ti|\\-|\\e", lambda escape: ESCAPES[escape[0]], line)


# Examples


@dataclass(frozen=True)
class Example:
    script: str
    out: list[str]
    needs: list[str]
    is_run: bool


def examples_of(name: str) -> list[Example]:
    text = page(name)
    found = []
    for title in ("EXAMPLES", "ECHO SCRIPTS"):
        if f".Sh {title}\n" not in text:
            continue
        for match in re.finditer(
            r'((?:^\.\\" [^\n]*\n)*)^\.Bd -literal[^\n]*\n(.*?)^\.Ed$', section(text, title), re.MULTILINE | re.DOTALL
        ):
            says = re.findall(r'^\.\\" (out|needs|not run): (.*)$', match[1], re.MULTILINE)
            out, needs, reasons = ([said for key, said in says if key == k] for k in ("out", "needs", "not run"))
            found.append(Example(plain(match[2]), out, needs, not reasons))
    return found


PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def desk(shell: Shell) -> Shell:
    """A folder with what the examples take to be there."""
    (shell.folder / "notes.txt").write_text("b\na\n")
    (shell.folder / "photo.png").write_bytes(PNG)
    if shutil.which("git"):
        shell.run("git init -q && git add notes.txt && echo c >>notes.txt")
    return shell


@pytest.mark.parametrize("name", [name for name in PAGES if name.endswith((".1", ".7"))])
def test_the_examples_run(name: str, desk: Shell) -> None:
    """One after the other in one folder: some go on from a file that another made."""
    skipped = set()
    for example in examples_of(name):
        missing = {program for program in example.needs if shutil.which(program) is None}
        if example.is_run and not missing:
            done = desk.run("set -e\n" + example.script)
            assert done.status == 0, example.script + done.err
            assert [line.strip() for line in done.text.splitlines()] == example.out, example.script
        skipped |= missing
    if skipped:
        pytest.skip(f"only those examples that need {', '.join(skipped)}; the others ran")


@pytest.mark.parametrize("name", [name for name in PAGES if name.endswith((".1", ".7"))])
def test_most_examples_run_anywhere(name: str) -> None:
    examples = examples_of(name)
    anywhere = [example for example in examples if example.is_run and not example.needs]
    assert len(anywhere) >= max(3, len(examples) // 2)


@pytest.mark.parametrize("name", PAGES)
def test_an_example_can_be_copied_from_the_page(name: str) -> None:
    """No quote, dash or accent becomes another character on the screen."""
    renderers = [["mandoc", "-T", "utf8"], ["groff", "-man", "-T", "utf8"]]
    here = [command for command in renderers if shutil.which(command[0])]
    if not here:
        pytest.skip("neither mandoc nor groff is here")
    for command in here:
        page = [*command, str(MAN / name)]
        shown = subprocess.run(page, capture_output=True, text=True, check=True, timeout=LIMIT).stdout
        for example in examples_of(name):
            for line in example.script.splitlines():
                assert line.strip() in shown


# Pages


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_clean(name: str) -> None:
    linters = [["mandoc", "-T", "lint", "-W", "warning"], ["groff", "-man", "-Tutf8", "-ww", "-z"]]
    here = [command for command in linters if shutil.which(command[0])]
    if not here:
        pytest.skip("neither mandoc nor groff is here")
    for command in here:
        page = [*command, str(MAN / name)]
        done = subprocess.run(page, capture_output=True, text=True, check=False, timeout=LIMIT)
        assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_every_command_has_a_page() -> None:
    assert {f"{name}.1" for name in COMMANDS} == {name for name in PAGES if name.endswith(".1")}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_sections_of_a_page_are_in_order(name: str) -> None:
    found = re.findall(r"^\.Sh (.*)$", page(f"{name}.1"), re.MULTILINE)
    assert [title for title in found if title in ORDER] == ORDER


def test_every_page_is_installed() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text("utf-8")
    for name in PAGES:
        assert f'"man/{name}" = "share/man/man{name[-1]}/{name}"' in pyproject


@pytest.mark.parametrize("name", PAGES)
def test_a_page_refers_to_pages_that_are_there(name: str) -> None:
    ours = re.findall(r"^\.Xr (llm\S*) (\d)", page(name), re.MULTILINE)
    assert {f"{title}.{number}" for title, number in ours} <= set(PAGES)


# Options


def options_in(text: str) -> dict[frozenset[str], bool]:
    """Return the options that a text lists: the names of each, and whether it takes a value."""
    found = {}
    for line in re.findall(r"^\.It (Fl .*)$", text, re.MULTILINE):
        names = frozenset("-" + flag for flag in re.findall(r"Fl (\S+)", line))
        assert names not in found
        found[names] = " Ar " in line
    return found


def actions_of(name: str) -> dict[str, str]:
    """Return what a man page says of each action of a command, by its name."""
    text = page(f"{name}.1")
    titles = subsections(section(text, "ACTIONS")) if ".Sh ACTIONS\n" in text else {}
    return {title if title.startswith("(") else title.partition(" ")[0]: text for title, text in titles.items()}


def documented(name: str) -> dict[frozenset[str], bool]:
    """Return the options of a man page. An option may belong to several actions; it is the same for all."""
    found: dict[frozenset[str], bool] = {}
    for text in (section(page(f"{name}.1"), "OPTIONS"), *actions_of(name).values()):
        for names, takes_value in options_in(text).items():
            assert found.setdefault(names, takes_value) is takes_value
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_the_man_page_and_the_reverse(name: str) -> None:
    options = [param for param in COMMANDS[name].params if isinstance(param, click.Option)]
    assert documented(name) == {frozenset(option.opts): not option.is_flag for option in options}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_the_synopsis_and_the_reverse(name: str) -> None:
    synopsis = re.findall(r"Fl (\S+)", section(page(name + ".1"), "SYNOPSIS"))
    short = {f"-{letter}" for flag in synopsis if not flag.startswith("-") for letter in flag}
    given = short | {"-" + flag for flag in synopsis if flag.startswith("-")}
    everywhere = {frozenset(("--version",)), frozenset(("-h", "--help"))}
    assert {names for names in documented(name) if names.isdisjoint(given)} == everywhere
    assert given <= frozenset().union(*documented(name))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_long_form(name: str) -> None:
    assert [names for names in documented(name) if not any(flag.startswith("--") for flag in names)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_action_has_a_subsection_and_the_reverse(name: str) -> None:
    module = sys.modules[COMMANDS[name].callback.__module__]
    assert {title for title in actions_of(name) if title.isalpha()} == set(getattr(module, "ACTIONS", ()))


def test_each_action_of_llm_log_lists_the_options_that_go_with_it() -> None:
    command = COMMANDS["llm-log"]
    actions = sys.modules[command.callback.__module__].ACTIONS
    names = {param.name: frozenset(param.opts) for param in command.params}
    listed = {action: set(options_in(text)) for action, text in actions_of("llm-log").items() if action}
    assert listed.pop("(no action)") == {names["name"], names["require"]}
    assert listed == {action: {names[option] for option in options} for action, (_, _, options) in actions.items()}


# Environment


def variables(name: str) -> set[str]:
    """Return the environment variables that a page lists."""
    lines = re.findall(r"^\.It Ev (.*)$", section(page(name), "ENVIRONMENT"), re.MULTILINE)
    return {word for line in lines for word in line.split() if word.isupper()}


def code() -> str:
    return "".join(path.read_text("utf-8") for path in (ROOT / "llmtools").rglob("*.py"))


def test_llmtools_lists_exactly_the_variables_of_its_own_that_the_code_reads() -> None:
    named = set(re.findall(r"""["'](LLMTOOLS_[A-Z_]+)["']""", code()))
    assert {name for name in variables("llmtools.7") if name.startswith("LLMTOOLS_")} == named


def test_every_variable_that_the_code_reads_by_name_is_in_a_page() -> None:
    named = set(re.findall(r"""environ(?:\.get\(|\[)["']([A-Z_]+)["']""", code()))
    assert named and named <= variables("llmtools.7") | variables("llm-config.5")


@pytest.mark.parametrize("name", COMMANDS)
def test_llmtools_lists_the_variables_of_every_command(name: str) -> None:
    assert variables(f"{name}.1") <= variables("llmtools.7")


# Statuses and records


def statuses(text: str) -> dict[int, str]:
    """Return what a page says of each exit status; of macros the words they show."""
    table = section(text, "EXIT STATUS").partition(".El")[0]
    found = re.findall(r"^\.It (\d+)\n(.*?)(?=^\.It |\Z)", table, re.MULTILINE | re.DOTALL)
    assert [int(number) for number, _ in found] == sorted({int(number) for number, _ in found})
    return {int(number): " ".join(re.sub(r"^\.\w+ ", "", words, flags=re.MULTILINE).split()) for number, words in found}


def test_llmtools_lists_all_statuses_in_the_words_of_the_code() -> None:
    assert statuses(page("llmtools.7")) == errors.STATUSES


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_describes_its_own_statuses(name: str) -> None:
    found = statuses(page(f"{name}.1"))
    assert {0, 2, 70, 74} <= found.keys() <= errors.STATUSES.keys()
    assert [number for number, words in found.items() if not words] == []


def test_every_code_of_an_error_stands_at_its_status() -> None:
    table = section(page("llmtools.7"), "EXIT STATUS").partition(".El")[2]
    found = re.findall(r"^\.It (\d+)\n\.Li (.*)$", table, re.MULTILINE)
    listed = {code: int(number) for number, codes in found for code in codes.split(" , ")}
    assert listed == {code: cls.exit_status for code, cls in errors.error_classes().items()}


def test_every_record_and_event_is_in_llm_stream() -> None:
    text = page("llm-stream.5")
    for titles, names in (
        (("HISTORY RECORDS",), {"message", "tool", "conversation"}),
        (("PARTS",), set(check.PARTS)),
        (("EVENTS",), set(check.EVENTS)),
        (("HISTORY RECORDS", "EVENTS"), set(check.CHECKS)),
    ):
        items = [line for title in titles for line in re.findall(r"^\.It Cm (.*)$", section(text, title), re.MULTILINE)]
        assert names - {name for line in items for name in line.split(" , ")} == set()


def test_every_key_of_an_echo_script_is_in_llm_send() -> None:
    from llmtools.exchange.echo import SCRIPT_KEYS

    text = section(page("llm-send.1"), "ECHO SCRIPTS")
    lines = re.findall(r"^\.It Cm (.*)$", text, re.MULTILINE)
    assert [key for line in lines for key in line.split(" , ")] == list(SCRIPT_KEYS)


# --help and --version


@pytest.mark.parametrize("name", COMMANDS)
def test_help_opens_with_examples(name: str, shell: Shell) -> None:
    done = shell.run(f"{name} --help")
    assert done.text.startswith("Examples:\n  ") and done.err == ""
    assert name in done.text.partition("\n\n")[0]
    assert shell.run(f"{name} -h").text == done.text


@pytest.mark.parametrize("name", COMMANDS)
def test_version_is_one_line(name: str, shell: Shell) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    assert shell.run(f"{name} --version").text == f"{name} {__version__}\n"


# README and changelog


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_first_command_of_the_readme_answers(shell: Shell) -> None:
    first = blocks("sh")[0].strip()
    assert first.count("\n") == 0 and first.startswith("python3 -m venv ")
    done = shell.run(first.rpartition(" && ")[2])
    assert (done.status, done.text, done.err) == (0, "hi\n", "")


def test_the_second_command_of_the_readme_is_the_tests() -> None:
    assert blocks("sh")[1].strip() == "tests/run"


@pytest.mark.parametrize("block", blocks("sh")[2:])
def test_a_command_of_the_readme_runs(block: str, desk: Shell) -> None:
    done = desk.run("set -e\n" + block)
    assert done.status == 0, done.err
    assert re.findall(r"# prints (.*)", block) == done.text.splitlines()


def test_the_stream_of_the_readme_is_one() -> None:
    decoder = jsonl.Decoder("README")
    lines = decoder.feed("".join(blocks("json")).encode())
    assert decoder.error is None
    assert [record["type"] for record, _ in lines] == ["message", "start", "text", "text", "message", "end"]
    conversation = Conversation(record for record, _ in lines)
    assert conversation.failure is None and len(conversation.messages) == 2


def test_every_link_of_the_readme_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links and [link for link in links if not (ROOT / link).exists()] == []


def test_the_changelog_has_this_version() -> None:
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")
