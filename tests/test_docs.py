"""
The documents agree with the project: links, files, modules, functions and commands exist, lines are short.

A rename that leaves a stale name in a document fails here, with the document and the line.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from hub.cli.main import MODULES

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
MAXIMUM = 120

FOLDERS = ("ingest", "streams", "aggregates", "hub", "lab", "deploy", "tests", "docs", ".ci")
PATH = re.compile(rf"(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./*<>+-]*")
SOURCE = re.compile(r"[\w-]+\.(?:py|sql|sh)")
MODULE = re.compile(r"(?:ingest|streams|aggregates|hub|lab|tests)(?:\.[A-Za-z_]\w*)+")
LINK = re.compile(r"\]\(([^()\s]+)\)")
CODE = re.compile(r"`([^`]+)`")

documents = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def prose(document: Path) -> Iterator[tuple[int, str]]:
    """The lines outside of fenced blocks, with their numbers."""
    fenced = False
    for number, line in enumerate(document.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub makes of the headings of a document."""
    headings = [line.lstrip("#").strip().lower() for _, line in prose(document) if line.startswith("#")]
    return {re.sub(r"[^\w -]", "", heading).replace(" ", "-") for heading in headings}


@cache
def source_names() -> frozenset[str]:
    """The names, without folder, of all source files of the project."""
    files = (path for name in FOLDERS for path in (ROOT / name).rglob("*"))
    return frozenset(path.name for path in files if SOURCE.fullmatch(path.name))


@cache
def top_level_names(module: Path) -> frozenset[str]:
    """The classes, functions and assigned names at the top level of a module; nothing is imported."""
    names: set[str] = set()
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(target.id for target in targets if isinstance(target, ast.Name))
    return frozenset(names)


def module_exists(dotted: str) -> bool:
    """Whether a dotted name is a folder, a module, or a class, function or value of a module."""
    place, *rest = dotted.split(".")
    folder = ROOT / place
    for position, name in enumerate(rest):
        module = folder / f"{name}.py"
        if (folder / name).is_dir():
            folder /= name
        elif module.is_file():
            after = rest[position + 1 :]
            return not after or after[0] in top_level_names(module)
        else:
            return False
    return True


def path_exists(path: str) -> bool:
    """Whether the project has this path, or Git ignores it as a user's own; `*` and `<placeholder>` match anything."""
    pattern = re.sub(r"<[^>]*>", "*", path.rstrip("/"))
    return any(ROOT.glob(pattern)) or f"/{path}" in (ROOT / ".gitignore").read_text().split()


def code_exists(code: str) -> bool:
    """Whether a text in backticks that names a path, a source file or a module of the project names one that exists."""
    if PATH.fullmatch(code):
        return path_exists(code)
    if SOURCE.fullmatch(code):
        return code in source_names()
    return not MODULE.fullmatch(code) or module_exists(code)


@documents
def test_relative_links_lead_to_files_and_headings(document: Path) -> None:
    """Every relative link names a file of the project, and the part after `#` one of its headings."""
    broken = []
    for number, line in prose(document):
        for target in LINK.findall(line):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = document.parent / name if name else document
            if not file.exists() or (anchor and anchor not in anchors(file)):
                broken.append(f"{document.name}:{number}: {target}")
    assert not broken


@documents
def test_paths_and_modules_in_backticks_exist(document: Path) -> None:
    """Every path and every dotted module, class or function of the project in backticks exists."""
    missing = [
        f"{document.name}:{number}: {code}"
        for number, line in prose(document)
        for code in CODE.findall(line)
        if not code_exists(code)
    ]
    assert not missing


@documents
def test_commands_and_make_targets_exist(document: Path) -> None:
    """Every `stadspuls COMMAND` and `make TARGET`, in prose or at the start of a line of an example, exists."""
    text = document.read_text()
    words = {word for words in MODULES.values() for word in words.split()}
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^\$? ?|; )stadspuls ([a-z][\w-]*)", text, re.MULTILINE)) <= words
    assert set(re.findall(r"(?:`|^)make ([a-z][\w-]*)", text, re.MULTILINE)) <= targets


@documents
def test_lines_are_at_most_120_characters(document: Path) -> None:
    """No line is longer, except rows of tables and single unbroken addresses, which Markdown cannot wrap."""
    long = [
        f"{document.name}:{number}: {len(line)} characters"
        for number, line in enumerate(document.read_text().splitlines(), 1)
        if len(line) > MAXIMUM and not line.startswith("|") and len(line.split()) > 1
    ]
    assert not long


def test_documents_named_in_code_exist() -> None:
    """Every document that code, rules or configuration name exists, and has the heading after `#`."""
    files = [path for name in FOLDERS for path in (ROOT / name).rglob("*") if path.suffix in (".py", ".toml", ".sql")]
    broken = []
    for file in files:
        for name, anchor in re.findall(r"\b(docs/[\w-]+\.md)(?:#([\w-]+))?", file.read_text()):
            document = ROOT / name
            if file != Path(__file__) and (not document.exists() or (anchor and anchor not in anchors(document))):
                broken.append(f"{file.relative_to(ROOT)}: {name}#{anchor}")
    assert not broken


def test_every_dependency_has_a_reason() -> None:
    """`docs/dependencies.md` has the packages of `pyproject.toml`, the optional ones too, and no others."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    packages = [re.match(r"[\w-]+", package)[0] for package in wanted]  # type: ignore[index]
    rows = re.findall(r"^\| ([a-z][^|]*) \|", (ROOT / "docs/dependencies.md").read_text(), re.MULTILINE)
    named = [name.split()[0] for row in rows if row != "package" for name in row.split(", ")]
    assert [package for package in packages if not any(fnmatch(package, name) for name in named)] == []
    assert [name for name in named if not any(fnmatch(package, name) for package in packages)] == []


def test_a_stale_name_is_found() -> None:
    """The check itself: it finds names that do not exist, and leaves other texts alone."""
    stale = [
        "ingest.nothing",
        "ingest.vocabulary.quantities.NOTHING",
        "docs/nothing.md",
        "nothing.py",
        "tests/cases/no-*",
    ]
    assert [code for code in stale if not code_exists(code)] == stale
    good = ["ingest.vocabulary.quantities", "docs/*.md", "tests/cases/<format>-<what>/", "streams/", "test_docs.py"]
    other = ["stadspuls/ndw/1", "ingest", "--from", "stadspuls.toml"]
    assert all(map(code_exists, good + other))
