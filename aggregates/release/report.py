"""
A year of a sensor or an area on one page that prints: figures, chart, coverage, method, sources; Dutch or English.

`report.toml` has the tables that it asks for, as a release asks (`aggregates.release.inquiry`), and the words;
`report.html.j2` is the page.
"""

from contextlib import suppress
from datetime import date
from typing import Any

import msgspec

from aggregates.ask.dates import BadQuestion
from aggregates.ask.listings import EVERYTHING, LISTS
from aggregates.ask.periods import Reporting
from aggregates.release.inquiry import Table, answer, origins_of, rules_of
from aggregates.release.release import TEXTS
from aggregates.store.store import Store
from ingest.vocabulary.values import shipped_toml

_PAGE = TEXTS.overlay(autoescape=True).get_template("report.html.j2")


def report(store: Store, subject: str, year: int, reporting: Reporting, version: str, language: str = "nl") -> str:
    """
    Give the page of a year of a sensor, or of an area by its code, as HTML.

    Raises BadQuestion where there are no figures of it, or no words of a language; and `StoreError`.
    """
    known = shipped_toml(__file__, "report.toml")
    if language not in known["words"]:
        raise BadQuestion(f"language {language!r}, expected one of {', '.join(known['words'])}")
    scope: dict[str, Any] = {"sensors": [subject]} if "/" in subject else {"area": subject}
    anyone = dict.fromkeys(("source", "sensors", "quantities", "area", "vintage", "west", "south", "east", "north"))
    listed = LISTS["sensors"].read(store, None, EVERYTHING, **{**anyone, "ever": True, **scope})
    sensors = [row for batch in listed for row in batch.to_pylist()]
    found, span, figures = list[tuple[Table, Any]](), (date(year, 1, 1), date(year + 1, 1, 1)), dict[str, Any]()
    for quantity in sorted({name for one in sensors for name in one["quantities"]}):
        for given in known["table"]:
            asked = msgspec.convert({**given, "quantity": quantity, **scope}, Table).settled(store, span)
            with suppress(BadQuestion):  # most quantities have no limits
                found.append((asked, answer(store, asked, span, reporting)))
                figures.setdefault(quantity, {})[asked.name] = found[-1][1].to_pylist()
    if not any(rows.num_rows for asked, rows in found if asked.name == "days"):
        raise BadQuestion(f"no figures of {subject} in {year}, see `stadspuls sensors list` and `areas list`")
    sources = {one["title"]: one for asked, rows in found for one in origins_of(store, asked, rows)}
    return _PAGE.render(
        subject=subject, year=year, sensors=sensors, figures=figures, sources=sources.values(), language=language,
        rules=rules_of((asked for asked, _ in found), reporting), version=version, word=known["words"][language],
        days=(span[1] - span[0]).days,
    )  # fmt: skip
