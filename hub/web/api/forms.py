"""
The forms of an answer, and which of them a request accepts; `aggregates.export.forms` writes them.
"""

from collections.abc import Collection

from hub.web.accept import accepted

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
FORMS = {
    "json": "application/json",
    "geojson": "application/geo+json",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
PAGED = ("json", "geojson")  # the others are for machines, which want all rows at once


def chosen(accept: str, offered: Collection[str]) -> str | None:
    """
    Choose the form that the header Accept wants most, the first of equals; without a header the first.

    The most specific range of a media type decides (RFC 9110, 12.5.1).

    >>> chosen("text/html, text/csv;q=0.9, */*;q=0.1", FORMS), chosen("image/png", FORMS)
    ('csv', None)
    """
    ranges = accepted(accept or "*/*")

    def quality(form: str) -> float:
        kinds = (FORMS[form], FORMS[form].partition("/")[0] + "/*", "*/*")
        return next((ranges[kind] for kind in kinds if kind in ranges), 0.0)

    best = max(offered, key=quality)
    return best if quality(best) > 0 else None
