"""
The Dutch guide as the hub serves it: `docs/nl/*.md` as HTML beside its pictures, in `hub/web/live/static/guide`.

`make pictures` writes it anew, and a test holds it against its source.
"""

import re
from pathlib import Path

from markdown_it import MarkdownIt

from tests.conftest import ROOT

SOURCE, SERVED = ROOT / "docs" / "nl", ROOT / "hub" / "web" / "live" / "static" / "guide"
NAMES = {"mobiliteit": "Mobiliteit", "analisten": "Analisten", "beheer": "Beheer"}
_PAGE = """<!doctype html>
<html lang="nl">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>{title}</title>
    <link rel="stylesheet" href="guide.css">
  </head>
  <body>
    <nav aria-label="Uitleg">{links}</nav>
    <main>
{body}
    </main>
  </body>
</html>
"""


def page(name: str) -> str:
    """Make the page of one group of users."""
    text = (SOURCE / f"{name}.md").read_text("utf-8")
    body = MarkdownIt().render(re.sub(r"\]\(\S*/(\w+\.png)\)", r"](\1)", text))
    here = ' aria-current="page"'
    links = [f'<a href="{one}.html"{here if one == name else ""}>{title}</a>' for one, title in NAMES.items()]
    links.insert(0, '<a href="../../../../">Naar de kaart</a>')
    return _PAGE.format(title=text.partition("\n")[0].lstrip("# "), links="".join(links), body=body.rstrip())


def pictures(name: str) -> list[Path]:
    """Give the pictures that a page shows."""
    return [SERVED / one for one in re.findall(r"/(\w+\.png)\)", (SOURCE / f"{name}.md").read_text("utf-8"))]


def write() -> None:
    """Write all pages anew."""
    for name in NAMES:
        (SERVED / f"{name}.html").write_text(page(name), "utf-8")


if __name__ == "__main__":
    write()
