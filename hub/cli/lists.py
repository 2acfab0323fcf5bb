"""
The lists of the API as commands: `hub/web/api/resources.toml` has the parameters of each, which are its flags here.

`command_of` registers a list under a name; `rows_of` asks one, for commands that do more with its rows. Only what asks
loads pandas and what else the lists stand on.
"""

import inspect
from collections.abc import Mapping
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ValidationError

from aggregates.ask.dates import NO_AREAS, BadQuestion
from hub.cli.common import WAITING, WORDS, command, flag, open_store
from hub.cli.output import Format, errors, write
from hub.settings.settings import Settings
from hub.web import api
from ingest.vocabulary.values import shipped_toml

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN_BYTES = 80  # of a payload
_KINDS = {"integer": int, "number": float, "boolean": bool}
_PARAMETERS = shipped_toml(api.__file__, "parameters.toml")
_LISTS = {one["path"]: one for one in shipped_toml(api.__file__, "resources.toml")["resource"]}


def command_of(called: str, path: str) -> None:
    """
    Register a command that shows a list of the API, whose parameters are its flags.

    `commands.toml` has its example, how many rows it gives by default, the `columns` that people see, the one
    whose `greatest` numbers come first, of either sign, and what is said where there is `nothing`.
    """
    key = called.translate(str.maketrans(" -", "__"))
    words = WORDS[key]

    def show(
        settings: Settings, *, limit: int | None = None, form: Format = "table", out: Path | None = None, **asked: Any
    ) -> None:
        found = rows_of(settings, path, {name.rstrip("_"): value for name, value in asked.items()}, limit)
        if not found.num_rows:
            errors.print(words.get("nothing", "nothing found for this question"))
        if greatest := words.get("greatest"):
            import pyarrow.compute as pc

            found = found.take(pc.sort_indices(pc.abs(found[greatest]), [("", "descending")]))
        shown = words.get("columns", "").split()
        write(found.select(shown) if shown and form == "table" else found, form, out, settings.timezone)

    own, *rest = inspect.signature(show).parameters.values()
    limited = rest[0].replace(default=words.get("most"))
    flags = [_flag_of(word) for word in _LISTS[path].get("parameters", "").split()]
    show.__signature__ = inspect.Signature([own, *flags, limited, *rest[1:-1]])  # type: ignore[attr-defined]
    show.__name__, show.__doc__ = key, words.get("about", _LISTS[path]["about"])
    settings = ("calendars", "country", "database") if _LISTS[path].get("beside") else ("database",)
    command(called, *settings)(show)


def _flag_of(word: str) -> inspect.Parameter:
    """Make the flag of a parameter, as `sensor*` or `quantity!`."""
    name, (alias, *_) = word.rstrip("!"), word.rstrip("!*").split("/")
    about = _PARAMETERS[name]
    known = about["kind"]
    kind: Any = _KINDS.get(known, str) if isinstance(known, str) else Literal[tuple(known)]
    if name.endswith("*"):
        kind = list[kind]
    default: Any = inspect.Parameter.empty if word.endswith("!") else None
    kind = Annotated[kind if word.endswith("!") else kind | None, flag(alias, about["description"])]
    alias += "_" * iskeyword(alias)
    return inspect.Parameter(alias, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def rows_of(settings: Settings, path: str, asked: Mapping[str, Any], limit: int | None = None) -> "pa.Table":
    """
    Give the rows of a list of the API, all or the first `limit`; says on stderr where they will change.

    Raises BadQuestion for parameters that the API would refuse, and for areas where none are loaded.
    """
    import pyarrow as pa

    from aggregates.ask.listings import EVERYTHING
    from hub.web.api.parameters import query
    from hub.web.api.resources import by_settings

    resource = by_settings(settings)[path]
    given = {name: value for name, value in asked.items() if value not in (None, [])}
    try:
        question = query(resource.parameters, EVERYTHING)(**given)
        arguments = question.arguments(settings.timezone, resource.window, None)
    except ValidationError as error:
        one = error.errors()[0]
        raise BadQuestion(f"--{one['loc'][0]} {one['msg'].removeprefix('Value error, ')}") from error
    with open_store(settings) as store:
        if resource.is_waiting(store, arguments):
            errors.print(WAITING)
        shown = resource.shown({**arguments, "shapes": False})
        rows = [one.select(shown.names) for one in resource.find(store, None, limit or EVERYTHING, **arguments)]
        found = pa.Table.from_batches(rows) if rows else shown.empty_table()
        if not found.num_rows and resource.lacks_areas(store, arguments):
            raise BadQuestion(NO_AREAS)
    return _for_people(found)


def _for_people(found: "pa.Table") -> "pa.Table":
    """Give statistics as a column for each that has any, and payloads as text."""
    import pyarrow as pa

    flat, shown = found.flatten(), dict[str, Any]()
    for name, column in zip(flat.column_names, flat.columns, strict=True):
        texts: Any = column
        if column.type == pa.binary():
            texts = [data and data[:SHOWN_BYTES].decode("utf-8", "replace") for data in column.to_pylist()]
        if not (name.startswith("statistics.") and column.null_count == len(column)):
            shown[name.removeprefix("statistics.")] = texts
    return pa.table(shown)
