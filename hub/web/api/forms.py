"""
The forms of an answer, and which of them a request accepts; `aggregates.export.forms` writes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hub.web.accept import accepted

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


@dataclass(frozen=True, slots=True)
class Form:
    """One form; `bulk` is for machines, which want all rows at once."""

    name: str
    media: str
    bulk: bool = False
    geographic: bool = False


FORMS = (
    Form("json", "application/json"),
    Form("geojson", "application/geo+json", geographic=True),
    Form("csv", "text/csv", bulk=True),
    Form("parquet", "application/vnd.apache.parquet", bulk=True),
    Form("arrow", "application/vnd.apache.arrow.stream", bulk=True),
)


def chosen(accept: str, offered: Sequence[Form]) -> Form | None:
    """
    Choose the form that the header Accept wants most, the first of equals; without a header the first.

    The most specific range of a media type decides (RFC 9110, 12.5.1).

    >>> chosen("text/html, text/csv;q=0.9, */*;q=0.1", FORMS).name
    'csv'
    >>> chosen("image/png", FORMS) is None
    True
    """
    ranges = accepted(accept or "*/*")

    def quality(form: Form) -> float:
        kinds = (form.media, form.media.partition("/")[0] + "/*", "*/*")
        return next((ranges[kind] for kind in kinds if kind in ranges), 0.0)

    best = max(offered, key=quality)
    return best if quality(best) > 0 else None
