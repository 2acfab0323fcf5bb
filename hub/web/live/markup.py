"""
Plain HTML elements for the panels and details: what a screen reader knows best.
"""

from collections.abc import Sequence

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement


class Text(TextElement):
    """An element of any tag that holds text."""

    def __init__(self, tag: str, text: str, classes: str = "") -> None:
        super().__init__(tag=tag, text=text)
        self.classes(classes)


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], classes: str = "") -> None:
    """Write a table whose first column names its rows."""
    with ui.element("table").classes(f"figures {classes}"):
        Text("caption", caption, "only-read")
        with ui.element("thead"), ui.element("tr"):
            for head in heads:
                Text("th", head).props('scope="col"')
        with ui.element("tbody"):
            for first, *others in rows:
                with ui.element("tr"):
                    Text("th", first).props('scope="row"')
                    for cell in others:
                        Text("td", cell)
