"""
What the headers Accept and Accept-Language ask for: the API chooses a form by it, the live page a language.
"""

import re
from collections.abc import Mapping


def accepted(header: str) -> Mapping[str, float]:
    """
    Read a header as ranges with their quality, the best first (RFC 9110, 12.4.2); one that is no number is 0.

    >>> accepted("text/csv;q=0.5, */*; Q=0.1, text/html")
    {'text/html': 1.0, 'text/csv': 0.5, '*/*': 0.1}
    >>> accepted("nl;q=x"), accepted("")
    ({'nl': 0.0}, {})
    """
    found: dict[str, float] = {}
    for part in header.lower().split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        wanted = next((one[2:] for one in parameters if one.startswith("q=")), "1")
        quality = min(float(wanted), 1.0) if re.fullmatch(r"[0-9]+(\.[0-9]*)?", wanted) else 0.0
        if name:
            found[name] = max(found.get(name, 0.0), quality)
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def chosen(header: str, offered: Mapping[str, str]) -> str | None:
    """
    Choose by the header Accept from names with their media type, the first of equals; without a header the first.

    The most specific range of a media type decides (RFC 9110, 12.5.1).

    >>> offered = {"json": "application/json", "csv": "text/csv"}
    >>> chosen("text/html, text/csv;q=0.9, */*;q=0.1", offered), chosen("image/png", offered)
    ('csv', None)
    """
    ranges = accepted(header or "*/*")

    def quality(name: str) -> float:
        kinds = (offered[name], offered[name].partition("/")[0] + "/*", "*/*")
        return next((ranges[kind] for kind in kinds if kind in ranges), 0.0)

    best = max(offered, key=quality)
    return best if quality(best) > 0 else None
