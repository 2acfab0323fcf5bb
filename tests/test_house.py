"""The house: each folder introduces its modules in reading order, and neither a folder nor a module is a heap."""

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

ROOMS = ("ingest", "aggregates", "streams", "hub", "lab")
MOST = 12
LONGEST = 250  # lines of a module
FOLDERS = sorted(path.parent for room in ROOMS for path in (ROOT / room).rglob("__init__.py"))


def contents(folder: Path) -> set[str]:
    """The modules of a folder and the folders with modules in it, by name."""
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    return modules | {path.parent.name for path in folder.glob("*/__init__.py")}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_folder_names_its_modules(folder: Path) -> None:
    """
    The docstring of a folder names every module and folder in it, and none that is gone.

    Those of `aggregates` are also files of SQL. Its `__init__` holds nothing but the docstring.
    """
    tree = ast.parse((folder / "__init__.py").read_text("utf-8"))
    guide = ast.get_docstring(tree) or ""
    named = set(re.findall(r"`(\w+)/?`", guide))
    assert contents(folder) - named == set(), "not named in the folder's docstring"
    folders = {path.name for path in folder.iterdir() if path.is_dir()} | set(ROOMS)
    there = contents(folder) | folders | {path.stem for path in (folder / "sql").glob("*.sql")}
    assert named - there == set(), "named, and not in the folder"
    assert len(tree.body) == 1, "an __init__ holds a docstring and nothing else"
    assert len(contents(folder)) <= MOST, f"{len(contents(folder))} modules in one folder"


def test_no_module_is_a_heap() -> None:
    """A module that grows beyond what is read at once holds two concepts: the second one gets a name."""
    modules = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    long = {str(path.relative_to(ROOT)) for path in modules if path.read_text("utf-8").count("\n") > LONGEST}
    assert long == set()


def test_tests_lie_where_the_tested_lies() -> None:
    """Every folder of tests has the name of the folder it tests."""
    own = {"support", "cases", "deploy"}
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    strange = {
        folder for folder in folders if folder.parts and folder.parts[0] not in own and not (ROOT / folder).is_dir()
    }
    assert strange == set()
