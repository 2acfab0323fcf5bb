"""The named statements: every one is there and used, and a file that is wrong is refused."""

import ast
import re
from collections.abc import Iterator

from aggregates.store.statements import _all, parsed
from tests.conftest import ROOT

# What takes the name of a statement as its first argument.
METHODS, FUNCTIONS = ("rows", "records", "numbers"), ("statement_text", "Listing")
INCLUDED = re.compile(r"\{(\w+)\}")
# These run as whole texts.
SCRIPTS = {"roll_areas", "resolve_groups", "start_session", "create_session_tables", "let_reader_in"}


def named_in(source: str) -> Iterator[str]:
    """Yield the statements that calls in a module name, as patterns: of an f-string any word fits its holes."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or not call.args:
            continue
        method = isinstance(call.func, ast.Attribute) and call.func.attr in METHODS
        if method or (isinstance(call.func, ast.Name) and call.func.id in FUNCTIONS):
            yield from patterns(call.args[0])


def patterns(name: ast.expr) -> Iterator[str]:
    """Yield the patterns of a constant, an f-string, or a choice between some; nothing for a variable."""
    if isinstance(name, ast.Constant) and isinstance(name.value, str):
        yield re.escape(name.value)
    elif isinstance(name, ast.JoinedStr):
        yield "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"\w+" for part in name.values)
    elif isinstance(name, ast.IfExp):
        yield from patterns(name.body)
        yield from patterns(name.orelse)


def test_every_statement_is_there_and_used() -> None:
    """
    A statement that code, a view or another statement names is there, and each is named by one of them.

    A name may also be handed on to a function that runs it, also by a file of data.
    """
    code = [path for room in ("aggregates", "streams", "hub", "lab") for path in (ROOT / room).rglob("*.py")]
    views = [path.read_text() for path in (ROOT / "aggregates" / "schema").glob("*.sql")]
    wanted = {pattern for path in code for pattern in named_in(path.read_text())}
    wanted |= {name for text in views for name in INCLUDED.findall(text)}
    wanted |= {name for statement in _all().values() for name in INCLUDED.findall(statement.text)}
    found = {pattern: {name for name in _all() if re.fullmatch(pattern, name)} for pattern in wanted}
    assert {pattern for pattern, names in found.items() if not names} == set()
    data = list((ROOT / "hub").rglob("*.toml"))
    handed_on = {text for path in [*code, *data] for text in re.findall(r'"(\w+)"', path.read_text())}
    assert _all().keys() - set().union(handed_on, *found.values()) == set()


def test_files_are_well_formed() -> None:
    """Nothing stands before the first name; each name is one word, comes once, and has a statement."""
    texts = [path.read_text() for path in (ROOT / "aggregates" / "sql").glob("*.sql")]
    lines = [line for text in texts for line in text.splitlines() if line.startswith("-- name:")]
    assert {line for line in lines if not re.fullmatch(r"-- name: \w+(, planned each time)?", line)} == set()
    assert len(lines) == len(_all())
    assert {name for name, statement in _all().items() if not statement.text} == set()
    heads = [line for text in texts for line in text.partition("-- name:")[0].splitlines()]
    assert {line for line in heads if line and not line.startswith("--")} == set()


def test_a_statement_is_one_command() -> None:
    """The server takes only one with parameters; several are for `Transaction.script`."""
    assert {name for name, statement in _all().items() if ";" in statement.text} == SCRIPTS


def test_comments_are_left_out() -> None:
    """Comments do not reach the database; `planned each time` is read from the line that names the statement."""
    ((name, statement),) = parsed("-- The job.\n\n-- name: one, planned each time\n-- Why.\nSELECT 1  -- one\n")
    assert (name, statement.text, statement.planned_each_time) == ("one", "SELECT 1", True)
