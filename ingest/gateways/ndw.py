"""
NDW: the flows and speeds of the last minute of the whole country, and the table of what they measure.

One file of some 50 MB (1 MB packed), new each minute, without history: what is missed is gone, and counted as a gap. It
mixes minutes, so what was published is remembered site by site. The table (340 MB) is fetched by a job of its own when
there is a newer one, and goes into the file that the collector reads (`ingest.files.site_table`).
"""

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from lxml import etree

from ingest.files.recordings import Recorded, messages, topic_of
from ingest.files.site_table import import_table, sound
from ingest.formats.xml import opened, records
from ingest.gateways.registry import Measurement, Region, Turn, gateway
from ingest.gateways.web import FormChanged, SourceUnreachable
from ingest.vocabulary.readings import BadPayload
from ingest.vocabulary.values import stamp

SOURCE = "ndw"
HOST = "https://opendata.ndw.nu"
MINUTES = "trafficspeed.xml.gz"
TABLE = "measurement_current.xml.gz"
MINUTE = timedelta(minutes=1)
UNCOMPARED = timedelta(days=1)  # between two tables where the host gives nothing to tell a newer one by

# Found without parsing each site twice: 20,000 of them in a minute. In v3 the stamp is one element deeper.
_STAMP = re.compile(rb"measurementTimeDefault\b.*?>\s*(\d{4}-[^<\s]+)", re.DOTALL)

log = structlog.get_logger("ingest.gateways")


@gateway(SOURCE, HOST, every=600, job="sites")
def sites(turn: Turn) -> None:
    """Fetch the table where there is none, or a newer one; once a day where the host cannot say that it is newer."""
    is_there, fetched = turn.sites.exists(), turn.memory.note("fetched", datetime, None)
    fresh = fetched is not None and turn.now - fetched < UNCOMPARED
    if is_there and fresh and not turn.web.can_compare(TABLE):
        return
    with _downloaded(turn, TABLE, conditional=is_there) as path:
        if path is not None:
            log.info("a site table came", sites=import_table(path, turn.sites))
            turn.memory.write("fetched", turn.now)


@gateway(SOURCE, HOST, every=20)
def minutes(turn: Turn) -> None:
    """Publish what the newest file has that was not published yet, one message for each site and minute."""
    if turn.region is not None and not turn.sites.exists():
        return  # which sites are in the region is only in the table, which the other job fetches
    with _downloaded(turn, MINUTES) as path:
        if path is not None:
            _publish(turn, path)


def _publish(turn: Turn, path: Path) -> None:
    published = _published(path)
    last = turn.memory.note("published", datetime, None)
    if last is not None and published <= last:
        return
    if last is not None and published - last > 1.5 * MINUTE:
        turn.counts.add("gaps", number=round((published - last) / MINUTE) - 1)
        log.warning("minutes were missed", gateway=SOURCE, between=str(last), and_=str(published))
    topics = None if turn.region is None else _topics(turn.sites, turn.region)
    if topics is not None and not turn.sites.exists():
        raise SourceUnreachable("the site table was damaged, it is fetched again")
    for topic, payload, when in turn.readable(messages(path, SOURCE), _stamped):
        if topics is None or topic in topics:
            turn.publish(topic, [Measurement(topic, f"{when} {zlib.crc32(payload):x}", when, payload)])
    turn.memory.write("published", published)


def _stamped(one: Recorded) -> tuple[str, bytes, datetime]:
    found = _STAMP.search(one.payload)
    return one.topic, one.payload, stamp(found[1].decode() if found else "", "measurementTimeDefault")


def _topics(sites: Path, region: Region) -> set[str]:
    return {topic_of(SOURCE, name) for name, site in sound(sites).items() if region.contains(site.lon, site.lat)}


def _published(path: Path) -> datetime:
    """Give when a publication was made."""
    with opened(path) as stream:
        first = next(records(stream, "publicationTime", "siteMeasurements"), None)
        return stamp((first is not None and first.text) or "", "publicationTime")


@contextmanager
def _downloaded(turn: Turn, name: str, *, conditional: bool = True) -> Iterator[Path | None]:
    """
    Give a file of NDW for as long as the block lasts, None where it is not newer than the last one.

    Where the block cannot read it raises SourceUnreachable for a file that was cut off and comes whole the next time,
    FormChanged for one in another form.
    """
    path = turn.sites.with_name(f"{name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("w+b") as file:
            fresh = turn.web.download(name, file, conditional=conditional)
        yield path if fresh else None
    except (EOFError, OSError, zlib.error) as error:
        raise SourceUnreachable(f"{name} came cut off: {error or type(error).__name__}") from error
    except BadPayload as error:
        if isinstance(error.__cause__, etree.XMLSyntaxError):
            raise SourceUnreachable(f"{name} came cut off: {error}") from error
        raise FormChanged(f"{name}: {error}") from error
    finally:
        path.unlink(missing_ok=True)
