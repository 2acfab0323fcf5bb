"""
Every text of the live page, in the languages of `words.toml`.

`hub.web.live.page` chooses the language; the browser gets the words of one.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from hub.web.accept import accepted

LANGUAGES = ("nl", "en")


class MissingWord(KeyError):  # noqa: N818 - named for what is missing
    """A word that the catalogue lacks, or lacks in one language."""


class Words:
    """The words of one language; `words("sensors.silent", count=3)` fills in `{count}`."""

    def __init__(self, language: str, known: Mapping[str, str]) -> None:
        self.language = language
        self._known = known

    def __call__(self, key: str, **values: object) -> str:
        """Give the text of a key; raises MissingWord."""
        if key not in self._known:
            raise MissingWord(f"word {key!r}, expected one of words.toml")
        return self._known[key].format(**values) if values else self._known[key]

    def get(self, key: str, otherwise: str) -> str:
        """Give the text of a key, or another where the catalogue has none."""
        return self._known.get(key, otherwise)

    def all(self) -> dict[str, str]:
        """Give every word by its key."""
        return dict(self._known)

    def number(self, value: float | None, digits: int = 3) -> str:
        """
        Write a number as the language does, with so many significant digits; nothing for None.

        >>> words("nl").number(12345.678), words("en").number(12345.678), words("nl").number(0.1234)
        ('12.346', '12,346', '0,123')
        """
        if value is None:
            return self("none")
        decimals = max(0, digits - len(str(int(abs(value)))) + (abs(value) < 1))
        text = f"{value:,.{decimals}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return text.translate(str.maketrans(",.", ".,")) if self.language == "nl" else text


@cache
def words(language: str) -> Words:
    """Read the words of one language; raises MissingWord where a key lacks it."""
    table = tomllib.loads(files("hub.web.live").joinpath("words.toml").read_text("utf-8"))
    known = {}
    for section, entries in table.items():
        for key, texts in entries.items():
            if language not in texts:
                raise MissingWord(f"word {section}.{key} of words.toml has no {language!r}, found {', '.join(texts)}")
            known[key if section == "page" else f"{section}.{key}"] = texts[language]
    return Words(language, known)


def preferred(header: str) -> str:
    """
    Choose a language by an Accept-Language header, Dutch where none fits (RFC 9110, 12.5.4).

    >>> preferred("en-GB,en;q=0.9,nl;q=0.8"), preferred("nl;q=0.9, en;q=0.1"), preferred("de"), preferred("")
    ('en', 'nl', 'nl', 'nl')
    """
    tags = [tag for tag, quality in accepted(header).items() if quality > 0]
    return next((language for tag in tags if (language := tag.partition("-")[0]) in LANGUAGES), LANGUAGES[0])
