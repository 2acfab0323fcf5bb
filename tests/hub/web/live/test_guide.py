"""The Dutch guide: the hub serves what its source says, in the words of the page, with pictures that are there."""

import re

import pytest

from hub.web.live.known import words
from tests.support.guide import NAMES, SERVED, SOURCE, page, pictures

# What stands in italics in every page, and is no word of the page.
OWN = {"cursief"}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_served_is_its_source(name: str) -> None:
    """`make pictures`, or `python -m tests.support.guide`, was run after the last change of a page."""
    assert (SERVED / f"{name}.html").read_text("utf-8") == page(name)


@pytest.mark.parametrize("name", NAMES)
def test_its_words_are_those_of_the_page(name: str) -> None:
    """Whatever is in italics stands on the page in just these words, so that a reader finds it there."""
    known = set(words("nl").values())
    named = re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", (SOURCE / f"{name}.md").read_text("utf-8"))
    assert set(named) - known - OWN == set()
    assert len(named) > 8


@pytest.mark.parametrize("name", NAMES)
def test_its_pictures_are_there(name: str) -> None:
    """Every page has pictures, and none is a broken link."""
    found = pictures(name)
    assert found
    assert [one.name for one in found if not one.is_file()] == []


def test_every_page_of_the_source_is_served() -> None:
    """A new page gets a place in the navigation."""
    assert {path.stem for path in SOURCE.glob("*.md")} == set(NAMES)
