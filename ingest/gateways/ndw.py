"""
NDW: the flows and speeds of the last minute of the whole country, and the table of what they measure.

One file of some 50 MB (1 MB packed), new each minute, without history: what is missed is gone, and counted as a gap. It
mixes minutes, so what was published is remembered site by site. The table (340 MB) is fetched by a job of its own when
there is a newer one, and goes into the file that the collector reads (`ingest.files.site_table`).
"""

import re
import zlib
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from ingest.files.recordings import messages
from ingest.files.sections import Recorded, topic_of
from ingest.files.site_table import import_table, sound
from ingest.formats.xml import opened, records
from ingest.gateways.turn import Job, Measurement, Region, Turn
from ingest.gateways.web import SourceUnreachable
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


def jobs(host: str) -> list[Job]:
    """Give both jobs of the gateway, at a host in place of NDW's own."""
    return [
        Job("ndw_sites", sites, host or HOST, timedelta(minutes=10)),
        Job("ndw", minutes, host or HOST, timedelta(seconds=20)),
    ]


def sites(turn: Turn) -> None:
    """Fetch the table where there is none, or a newer one; once a day where the host cannot say that it is newer."""
    is_there, fetched = turn.sites.exists(), turn.memory.note("fetched", datetime, None)
    fresh = fetched is not None and turn.now - fetched < UNCOMPARED
    if is_there and fresh and not turn.web.can_compare(TABLE):
        return
    read = partial(import_table, target=turn.sites)
    if (found := turn.web.ask(TABLE, read, tries=1, newer=is_there)) is not None:
        log.info("a site table came", sites=found)
        turn.memory.write("fetched", turn.now)


def minutes(turn: Turn) -> None:
    """Publish what the newest file has that was not published yet, one message for each site and minute."""
    if turn.region is None or turn.sites.exists():  # which sites are in the region is only in the table
        turn.web.ask(MINUTES, partial(_publish, turn), newer=True)


def _publish(turn: Turn, path: Path) -> None:
    published = _published(path)
    last = turn.memory.note("published", datetime, None)
    if last is not None and published <= last < turn.now + 10 * MINUTE:  # else of a wrong clock
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
