"""Names: a function is named by what it does, and a name means one thing in the whole package."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from support.paths import ROOT

PACKAGE = ROOT / "llmtools"
IRREGULAR = re.compile("made|told|said|kept|held|found|built|sent|meant|gone|begun|left")
ENDINGS = re.compile(r"[a-z]+(ed|[aeio]wn|[aeio]ken|tten|osen|iven)|known|drawn|shown")
NOT_PARTICIPLES = frozenset(("feed", "seed", "need", "embed"))

COMMAND_MODULES = frozenset(("ACTIONS", "EXAMPLES", "command", "run"))
"""What every command module has; `cli` calls `run`, the tests read the others."""
PROTOCOL_FOLDERS = frozenset(("SPEC", "error_of", "Messages", "Reply", "usage_of"))
"""What several folders of protocols have: the interface, and the parts of it that are the same in each."""
OTHER_INTERFACES = frozenset(("reply", "main", "__getattr__", "T", "TYPE_CHECKING", "__all__"))
"""`reply` of the built-in models, `main` of the processes, and what Python and typing use."""
SAME_MEANING = {
    **dict.fromkeys(("Message", "Part", "Attachment", "Usage"), "a record, and the library class of it"),
    **dict.fromkeys(("AttachmentPart", "ReasoningPart", "TextPart"), "a record, and the library class of it"),
    **dict.fromkeys(("ToolCallPart", "ToolResultPart"), "a record, and the library class of it"),
    "get_key": "public as llmtools.get_key, and the key of the keyring that it reads",
    "Decoder": "bytes that are cut anywhere to records: of a stream, and of the reply of each protocol",
    "encode": "public as llmtools.encode, and the interface of a protocol",
}
"""Names that stand twice, with the reason."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield str(path.relative_to(PACKAGE)), ast.parse(path.read_text("utf-8"))


def is_participle(name: str) -> bool:
    """Whether a name is one word, and that is a participle such as `told` or `checked`."""
    word = name.strip("_")
    return word not in NOT_PARTICIPLES and bool(IRREGULAR.fullmatch(word) or ENDINGS.fullmatch(word))


def top_level(body: list[ast.stmt]) -> Iterator[str]:
    """Yield the names that a module defines; imports do not count."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.If):
            yield from top_level(node.body)


def test_no_function_is_named_by_a_bare_participle() -> None:
    found = [
        f"{name}:{node.lineno} {node.name}"
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_participle(node.name)
    ]
    assert found == []


def test_a_public_name_is_defined_once() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for module, tree in modules():
        for name in {*top_level(tree.body)}:
            places[name].append(module)
    interfaces = {
        **dict.fromkeys(COMMAND_MODULES, "cli/"),
        **dict.fromkeys(PROTOCOL_FOLDERS, "protocols/"),
        **dict.fromkeys(OTHER_INTERFACES, ""),
    }
    found = {}
    for name, where in places.items():
        others = [module for module in where if not module.startswith(interfaces.get(name, "-"))]
        is_interface = name in interfaces and len(where) > 1
        if not name.startswith("_") and len(where) > 1 and (others if is_interface else name not in SAME_MEANING):
            found[name] = where
    assert found == {}


def test_each_exception_is_still_needed() -> None:
    names = [name for _, tree in modules() for name in {*top_level(tree.body)}]
    assert [name for name in SAME_MEANING if names.count(name) < 2] == []


def test_the_words_of_the_old_dialect_are_gone() -> None:
    """Locals that name a value by what happened to it say nothing of what it is."""
    old = re.compile(r"^ +(?:said|told|kept|held|meant|made|asked) = (?!answer_settings)", re.MULTILINE)
    found = {
        str(path.relative_to(PACKAGE)): old.findall(path.read_text("utf-8"))
        for path in PACKAGE.rglob("*.py")
        if old.search(path.read_text("utf-8"))
    }
    assert found == {}
