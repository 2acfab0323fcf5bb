"""
Every text of the live page, in the languages of `words.toml`.

`hub.web.live.mount` chooses the language; the browser gets the words of one.
"""

import tomllib
from functools import cache
from importlib.resources import files

from hub.web.accept import accepted

LANGUAGES = ("nl", "en")


@cache
def words(language: str) -> dict[str, str]:
    """Read the words of one language by `section.key`, those of the section `page` by their key alone."""
    table = tomllib.loads(files("hub.web.live").joinpath("words.toml").read_text("utf-8"))
    return {
        key if section == "page" else f"{section}.{key}": texts[language]
        for section, entries in table.items()
        for key, texts in entries.items()
    }


def preferred(header: str) -> str:
    """
    Choose a language by an Accept-Language header, Dutch where none fits (RFC 9110, 12.5.4).

    >>> preferred("en-GB,en;q=0.9,nl;q=0.8"), preferred("nl;q=0.9, en;q=0.1"), preferred("de"), preferred("")
    ('en', 'nl', 'nl', 'nl')
    """
    tags = [tag for tag, quality in accepted(header).items() if quality > 0]
    return next((language for tag in tags if (language := tag.partition("-")[0]) in LANGUAGES), LANGUAGES[0])
