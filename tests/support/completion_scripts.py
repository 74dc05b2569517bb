"""The completions of every command for bash, zsh and fish, made from the click commands.

tests/completions.py says which files are not current, and with --write writes them. The files
are static: on Tab no Python starts. What an option takes is known from its metavar (`KINDS`) or
its choices.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import click

from llmtools.cli.parts.select import TYPES
from llmtools.records.check import ROLES
from support.paths import ROOT

FOLDER = ROOT / "llmtools" / "completions"
NOTE = "Written by tests/completions.py from the options of {}: do not edit."
KINDS = {
    "FILE": "file",
    "FILE|URL|-": "file",
    "FILE|URL|NAME:ARG|-": "file",
    "DIR": "folder",
    "MODEL": "model",
    "TYPE,…": "list",
    "ROLE,…": "list",
}
LISTS = {"TYPE,…": TYPES, "ROLE,…": ROLES}


@dataclass(frozen=True)
class Option:
    """An option as a shell sees it. kind: flag, value (anything), words (one of `words`),
    list (some of `words`, with commas), file, folder or model."""

    names: tuple[str, ...]
    help: str
    kind: str
    words: tuple[str, ...] = ()
    repeats: bool = False
    values: int = 1


def commands() -> dict[str, click.Command]:
    """Return the executables of the project by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {name: command(name) for name in project["scripts"]}


def command(name: str) -> click.Command:
    """Return an executable's command: its module is a file, or `command` in a folder."""
    module = import_module(f"llmtools.cli.{name.removeprefix('llm-')}")
    found: click.Command = (
        import_module(f"{module.__name__}.command") if hasattr(module, "__path__") else module
    ).command
    return found


def options(command: click.Command) -> list[Option]:
    """Return the options of a command."""
    return [option_of(param) for param in command.params if isinstance(param, click.Option)]


def option_of(option: click.Option) -> Option:
    """Return a click option as a shell sees it."""
    names = (*option.opts, *option.secondary_opts)
    help = re.sub(r" +\[.*", "", option.help or "").strip().rstrip(".")
    if option.is_flag:
        return Option(names, help, "flag")
    if isinstance(option.type, click.Choice):
        return Option(names, help, "words", tuple(map(str, option.type.choices)), option.multiple)
    metavar = option.metavar or ""
    return Option(names, help, KINDS.get(metavar, "value"), LISTS.get(metavar, ()), option.multiple, option.nargs)


def roles(command: click.Command) -> tuple[str, ...]:
    """Return what the first operand may be, where it is one of some words."""
    first = next((param for param in command.params if isinstance(param, click.Argument)), None)
    return tuple(map(str, first.type.choices)) if first and isinstance(first.type, click.Choice) else ()


# bash

BASH = r"""# bash completion for {name}
# {note}

{function}() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}
    local kind='' words='' before='' word
    COMPREPLY=()
    if [[ $cur == = ]]; then # --option=: the = stands alone
        cur=''
    elif [[ $prev == = ]]; then
        prev=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    case $prev in
{cases}
        *[\<\>]*) kind=file ;;
    esac
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        [[ $word != -- ]] || kind=${{kind:-operand}}
    done
    if [[ -z $kind && ( $cur == -*{bare} ) ]]; then
        kind=words words='{names}'
    fi
    case $kind in
        words) ;;
        list) before=${{cur%"${{cur##*,}}"}} ;;
        model)
            if [[ $cur == replay/* ]]; then
                before=replay/ kind=file
            else
                words='echo replay/'
                compopt -o nospace 2>/dev/null
            fi
            ;;
{operands}    esac
    if [[ $kind == file || $kind == folder ]]; then
        [[ -n $before ]] || compopt -o filenames 2>/dev/null
        [[ $kind == file ]] && kind=-f || kind=-d
        while IFS= read -r word; do
            COMPREPLY+=("$before$word")
        done < <(compgen "$kind" -- "${{cur#"$before"}}")
    elif [[ -n $words ]]; then
        while IFS= read -r word; do
            COMPREPLY+=("$before$word")
        done < <(compgen -W "$words" -- "${{cur#"$before"}}")
    fi
}}

complete -F {function} {name}
"""
BASH_OPERANDS = """        '' | operand)
            words='{words}'
            for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
                [[ " $words " != *" $word "* ]] || words=''
            done
            ;;
"""


def bash(name: str, command: click.Command) -> str:
    """Return the completion for bash. It starts no process but subshells."""
    given = options(command)
    cases = "\n".join(_bash_case(option) for option in given if option.kind != "flag")
    words = roles(command)
    return BASH.format(
        name=name,
        note=NOTE.format(name),
        function="_" + name.replace("-", "_"),
        cases=cases,
        names=" ".join(option_name for option in given for option_name in option.names),
        bare="" if words else " || -z $cur",
        operands=BASH_OPERANDS.format(words=" ".join(words)) if words else "",
    )


def _bash_case(option: Option) -> str:
    words = f" words='{' '.join(option.words)}'" if option.words else ""
    kind = "kind=" + option.kind
    return f"        {' | '.join(option.names)}) {kind}{words} ;;"


# zsh

ZSH_MODEL = "{compset -P replay/ && _files || { compadd echo; compadd -S '' replay/ }}"


def zsh(name: str, command: click.Command) -> str:
    """Return the completion for zsh."""
    specs = [spec for option in options(command) for spec in _zsh_option(option)]
    words = roles(command)
    if words:
        specs += [f"1:role:({' '.join(words)})", "2:text: "]
    lines = " \\\n".join("    " + _quoted(spec) for spec in specs)
    return f"#compdef {name}\n# {NOTE.format(name)}\n\n_arguments -s -S : \\\n{lines}\n"


def _zsh_option(option: Option) -> list[str]:
    takes = "" if option.kind == "flag" else ":value:" + _zsh_action(option)
    takes += ":value: " * (option.values - 1)
    excluded = "*" if option.repeats else f"({' '.join(option.names)})"
    help = option.help.replace("[", "(").replace("]", ")").replace(":", r"\:")
    return [f"{excluded}{_zsh_name(option, name)}[{help}]{takes}" for name in option.names]


def _zsh_name(option: Option, name: str) -> str:
    if option.kind == "flag" or option.values > 1:
        return name
    return name + ("=" if name.startswith("--") else "+")


def _zsh_action(option: Option) -> str:
    words = " ".join(option.words)
    actions = {
        "words": f"({words})",
        "list": f"_values -s , value {words}",
        "file": "_files",
        "folder": "_files -/",
        "model": ZSH_MODEL,
    }
    return actions.get(option.kind, " ")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", r"'\''") + "'"


# fish

FISH_FILE = 'string replace -r "^(-m|--model=)?(replay/)?" "" -- (commandline -ct)'
FISH_MODEL = f'echo (complete -C "__fish_command_without_completions "({FISH_FILE}) | string replace -r "^" replay/)'


def fish(name: str, command: click.Command) -> str:
    """Return the completion for fish."""
    lines = [f"# fish completion for {name}", f"# {NOTE.format(name)}", "", f"complete -c {name} -f"]
    words = " ".join(roles(command))
    if words:
        lines.append(f"complete -c {name} -n 'not __fish_seen_subcommand_from {words}' -a '{words}'")
    lines += [f"complete -c {name} {_fish_option(option)}" for option in options(command)]
    return "\n".join(lines) + "\n"


def _fish_option(option: Option) -> str:
    names = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names]
    words = " ".join(option.words)
    takes = {
        "flag": "",
        "words": f" -x -a '{words}'",
        "list": f" -x -a '(__fish_append , {words})'",
        "file": " -r -F",
        "folder": " -x -a '(__fish_complete_directories)'",
        "model": f" -x -a '{FISH_MODEL}'",
        "value": " -x",
    }[option.kind]
    help = option.help.replace("\\", r"\\").replace("'", r"\'")
    return f"{' '.join(names)}{takes} -d '{help}'"


def files() -> dict[Path, str]:
    """Return the text of every file of completions."""
    found: dict[Path, str] = {}
    for name, command in commands().items():
        found[FOLDER / "bash" / name] = bash(name, command)
        found[FOLDER / "zsh" / f"_{name}"] = zsh(name, command)
        found[FOLDER / "fish" / f"{name}.fish"] = fish(name, command)
    return found


def stale() -> list[Path]:
    """Return the files that are not as they should be: old, missing, or of no command."""
    wanted = files()
    there = {path for path in FOLDER.rglob("*") if path.is_file()}
    wrong = {path for path, text in wanted.items() if path not in there or path.read_text("utf-8") != text}
    return sorted(wrong | (there - wanted.keys()))


def main(arguments: list[str]) -> int:
    """Write the files, or say which are not current."""
    if arguments == ["--write"]:
        wanted = files()
        for path in stale():
            path.unlink(missing_ok=True)
            if path in wanted:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(wanted[path], "utf-8")
    for path in stale():
        print(f"not current: {path.relative_to(ROOT)}")
    return 1 if stale() else 0
