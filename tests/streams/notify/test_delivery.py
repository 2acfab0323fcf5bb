"""Delivery: every transition arrives, in order, once where the channel can tell; silences, storms, escalation."""

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from aggregates.store.store import Store
from hub.run.notifying import NotifierPart, notifier_of
from hub.settings.layers import load
from streams.notify.apprise_door import AppriseDoor
from streams.notify.channels import Channel, Channels
from streams.notify.delivery import ChannelDelivery, Unsent
from streams.notify.notifier import Notifier
from streams.notify.operators import acknowledge, end_silence, silence
from streams.notify.texts import Notification, OutboxRow, Style, notification_of
from tests.support import killed_notifier
from tests.support.alerting import NOON, RULE, cleared, outbox, raised, rule
from tests.support.lines import until
from tests.support.programs import Program
from tests.support.receivers import Hook, MailBox, transitions

STYLE = Style("en", ZoneInfo("Europe/Amsterdam"), "https://hub.example")
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ENDLESS = datetime(9999, 12, 31, 23, 59, tzinfo=timezone(-10 * HOUR))


@dataclass
class Recorder:
    """A door that keeps what it is given, and refuses while `refuses`."""

    messages: list[Notification] = field(default_factory=list)
    refuses: bool = False
    refused: dict[str, str] = field(default_factory=dict)  # subjects that are never taken, and why

    def send(self, message: Notification) -> None:
        """Keep a message, or refuse it."""
        if self.refuses:
            raise Unsent("refused on purpose")
        for one in message.data:
            if why := self.refused.get(one["subject"]):
                raise Unsent(why)
        self.messages.append(message)

    @property
    def told(self) -> list[tuple[str, str]]:
        """Kind and subject of every transition, in order."""
        return [(one["kind"], one["subject"]) for message in self.messages for one in message.data]


def state(store: Store, now: datetime) -> list[Any]:
    """Give the backlog of each channel that has one."""
    with store.transaction() as tx:
        return tx.records("outbox_state", now=now)


class Desk:
    """Channels on one database, turned by hand at times of the test's own."""

    def __init__(self, url: str, store: Store, **channels: Channel) -> None:
        self.url, self.store = url, store
        self.doors = {name: Recorder() for name in channels}
        self.deliveries = {
            name: ChannelDelivery(name, channel, self.doors[name].send, STYLE._replace(language=channel.language))
            for name, channel in channels.items()
        }
        self.notifier = Notifier(Channels(channels=channels), self.deliveries)

    def turn(self, now: datetime) -> None:
        """Let the notifier do all that is due."""
        self.notifier._beaten = NOON - 24 * HOUR
        self.notifier.direct(self.store, now)
        for delivery in self.deliveries.values():
            while delivery.turn(self.store, now) or delivery.summary(self.store, now):
                pass


@pytest.fixture
def desk(database: str, store: Store) -> Callable[..., Desk]:
    """Make a desk."""
    rule(database)
    return lambda **channels: Desk(database, store, **channels)


def mail(**more: Any) -> Channel:
    """A channel; its URL is never opened here."""
    return Channel(url="json://x", **more)


class TestSharingOut:
    """Which channel gets which transition."""

    def test_operators_are_all_channels(self, desk: Callable[..., Desk]) -> None:
        """A rule that names no channel tells every one that is not for named rules only."""
        at = desk(a=mail(), b=mail(), c=mail(named_only=True))
        raised(at.url)
        at.turn(NOON + MINUTE)
        assert [len(at.doors[name].messages) for name in "abc"] == [1, 1, 0]

    def test_named_channel_alone(self, desk: Callable[..., Desk]) -> None:
        """A rule that names a channel tells that one."""
        at = desk(a=mail(), c=mail(named_only=True))
        raised(at.url, channel="c")
        at.turn(NOON + MINUTE)
        assert [len(at.doors[name].messages) for name in "ac"] == [0, 1]

    def test_severity_rules_and_kinds(self, desk: Callable[..., Desk]) -> None:
        """A channel gets what it accepts; what it does not accept is dropped with the reason."""
        at = desk(a=mail(severity="critical"), b=mail(rules=("pm*",)), c=mail(kinds=("cleared",)))
        alert = raised(at.url)
        cleared(at.url, alert, NOON + MINUTE)
        at.turn(NOON + 2 * MINUTE)
        assert [at.doors[name].told for name in "abc"] == [[], [], [("cleared", "luchtmeetnet/NL1")]]
        assert {why for _, name, _, why in outbox(at.url) if name in "ab"} == {"not for this channel"}

    def test_without_channels_nothing_waits(self, desk: Callable[..., Desk]) -> None:
        """A hub without channels does not collect notifications."""
        at = desk()
        raised(at.url)
        at.turn(NOON)
        assert outbox(at.url) == [(1, "operators", False, "no channel is configured")]

    def test_unknown_channel_is_given_up_after_a_day(self, desk: Callable[..., Desk]) -> None:
        """Transitions for a channel that is not configured wait a day, so that it can be configured."""
        at = desk(a=mail())
        raised(at.url, channel="typo")
        at.turn(NOON + 23 * HOUR)
        assert [one.channel for one in state(at.store, NOON + 23 * HOUR)] == ["typo"]
        at.turn(NOON + 25 * HOUR)
        assert outbox(at.url) == [(1, "typo", False, "no channel of this name")]


class TestMessages:
    """The text of a notification."""

    def test_text_is_complete(self, desk: Callable[..., Desk], database: str) -> None:
        """What, where with the area, since when, value against threshold, coverage, and a link."""
        placed(database)
        at = desk(en=mail(), nl=mail(language="nl"))
        alert = raised(at.url)
        at.turn(NOON + MINUTE)
        (message,) = at.doors["en"].messages
        assert message.title == "[warning] raised: Rule no2-alert, Nijensteinheerd"
        for part in ("Rule no2-alert", "Nijensteinheerd (luchtmeetnet/NL1), Buurt, Wijk, Stad", "2024-06-03 11:00 CEST",
                     "412 ug/m3, threshold 400 ug/m3", "98 %", f"https://hub.example/?alert={alert}"):  # fmt: skip
            assert part in message.body, part
        (dutch,) = at.doors["nl"].messages
        assert dutch.title == "[waarschuwing] begonnen: Regel no2-alert, Nijensteinheerd"
        assert dutch.body.startswith("NO2 is hoog")
        assert message.data[0]["codes"] == ["BU00140001", "WK001400", "GM0014"]


def placed(url: str) -> None:
    """Put the sensor into a buurt, a wijk and a gemeente."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO sensor (sensor_id, source, name, lon, lat)"
            " VALUES ('luchtmeetnet/NL1', 'luchtmeetnet', 'Nijensteinheerd', 6.5, 53.2)"
        )
        for code, level, name in (("GM0014", "gemeente", "Stad"), ("WK001400", "wijk", "Wijk"),
                                  ("BU00140001", "buurt", "Buurt")):  # fmt: skip
            connection.execute(
                "INSERT INTO area (vintage, code, level, name, municipality) VALUES (2024, %s, %s, %s, 'GM0014')",
                (code, level, name),
            )
        connection.execute(
            "INSERT INTO placement VALUES (2024, 'luchtmeetnet/NL1', '1900-01-01', 6.5, 53.2, 'inside', 'BU00140001')"
        )


class TestOrder:
    """One after the other, and nothing overtakes."""

    def test_failing_message_holds_the_channel(self, desk: Callable[..., Desk]) -> None:
        """While the first fails the others wait; the pause grows; another channel goes on."""
        at = desk(a=mail(group=0), b=mail(group=0))
        at.doors["a"].refuses = True
        for number in range(3):
            raised(at.url, f"ndw/{number}")
        at.turn(NOON)
        at.turn(NOON + timedelta(seconds=0.5))
        assert (at.deliveries["a"].failed, len(at.doors["b"].messages)) == (1, 3)
        at.turn(NOON + timedelta(seconds=1.5))
        at.turn(NOON + timedelta(seconds=2.5))
        assert at.deliveries["a"].failed == 2
        at.doors["a"].refuses = False
        at.turn(NOON + HOUR)
        assert [subject for _, subject in at.doors["a"].told] == ["ndw/0", "ndw/1", "ndw/2"]

    def test_refused_for_good_is_dropped_and_the_channel_goes_on(self, desk: Callable[..., Desk]) -> None:
        """Of a group the one transition that the service never takes is dropped with the reason, the others leave."""
        at = desk(a=mail())
        at.doors["a"].refused = {"ndw/3": "Bad Request, error=400."}
        for number in range(7):
            raised(at.url, f"ndw/{number}")
        at.turn(NOON + MINUTE)
        assert [subject for _, subject in at.doors["a"].told] == [f"ndw/{number}" for number in (0, 1, 2, 4, 5, 6)]
        assert (4, "a", False, "not delivered, refused for good: Bad Request, error=400.") in outbox(at.url)

    def test_message_that_cannot_be_made_is_dropped(
        self, desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A fault in the wording of one alert is no reason to keep the others."""
        at = desk(a=mail(group=0))

        def made(rows: list[OutboxRow], key: str, style: Style) -> Notification:
            if rows[0].subject == "ndw/0":
                raise KeyError("no such word")
            return notification_of(rows, key, style)

        monkeypatch.setattr("streams.notify.delivery.notification_of", made)
        raised(at.url, "ndw/0")
        raised(at.url, "ndw/1")
        at.turn(NOON + MINUTE)
        assert at.doors["a"].told == [("raised", "ndw/1")]

    def test_critical_alert_waits_for_no_other(self, desk: Callable[..., Desk]) -> None:
        """A critical alert leaves before those that were first, and while one of them fails."""
        at = desk(a=mail(group=0))
        at.doors["a"].refused = {"ndw/0": "timed out"}
        for number in range(3):
            raised(at.url, f"ndw/{number}")
        at.turn(NOON + MINUTE)
        raised(at.url, "ndw/fire", NOON + MINUTE, severity="critical")
        at.turn(NOON + MINUTE + timedelta(seconds=0.1))
        assert at.doors["a"].told == [("raised", "ndw/fire")]

    def test_one_that_is_never_taken_is_overtaken(self, desk: Callable[..., Desk]) -> None:
        """After some minutes the channel goes on without it, and it is still tried; nothing else is lost."""
        at = desk(a=mail(group=0))
        at.doors["a"].refused = {"ndw/0": "timed out"}
        for number in range(4):
            raised(at.url, f"ndw/{number}")
        for minutes in range(1, 15):
            at.turn(NOON + minutes * MINUTE)
        assert [subject for _, subject in at.doors["a"].told] == ["ndw/1", "ndw/2", "ndw/3"]
        at.doors["a"].refused = {}
        at.turn(NOON + 2 * HOUR)
        assert at.doors["a"].told[-1] == ("raised", "ndw/0")

    def test_channel_that_is_away_keeps_the_order(self, desk: Callable[..., Desk]) -> None:
        """While nothing is taken, only one notification is tried beside the first."""
        at = desk(a=mail(group=0))
        at.doors["a"].refuses = True
        for number in range(9):
            raised(at.url, f"ndw/{number}")
        for minutes in range(1, 300):
            at.turn(NOON + minutes * MINUTE)
        with psycopg.connect(at.url) as connection:
            (begun,) = connection.execute("SELECT count(*) FROM outbox WHERE message IS NOT NULL").fetchall()
        assert begun == (2,)

    def test_given_up_after_a_day(self, desk: Callable[..., Desk]) -> None:
        """What a channel does not accept for a day is dropped with the reason, and the next is sent."""
        at = desk(a=mail(group=0))
        at.doors["a"].refuses = True
        raised(at.url, "ndw/old")
        at.turn(NOON + MINUTE)
        raised(at.url, "ndw/new", NOON + 25 * HOUR)
        at.doors["a"].refuses = False
        at.turn(NOON + 25 * HOUR)
        assert at.doors["a"].told == [("raised", "ndw/new")]
        assert (1, "a", False, "not delivered within 24 hours") in outbox(at.url)

    def test_recent_one_is_not_given_up_with_an_old_one(self, desk: Callable[..., Desk]) -> None:
        """What waited together for a channel that was away is given up by its own age."""
        at = desk(a=mail())
        at.doors["a"].refuses = True
        for minutes in range(0, 28 * 60, 5):
            if minutes in (0, 10, 120, 130, 140, 150, 23 * 60):
                raised(at.url, f"ndw/{minutes}", NOON + minutes * MINUTE)
            at.turn(NOON + (minutes + 2) * MINUTE)
        at.doors["a"].refuses = False
        at.turn(NOON + 29 * HOUR)
        assert at.doors["a"].told == [("raised", "ndw/1380")]
        assert len([why for _, _, _, why in outbox(at.url) if why == "not delivered within 24 hours"]) == 6

    def test_what_was_given_up_is_counted(self, desk: Callable[..., Desk]) -> None:
        """The summary of a channel that was away for a day says how many never arrived, and so does doctor; once."""
        at = desk(a=mail(digest="14:30"))
        at.doors["a"].refuses = True
        raised(at.url)
        for hours in range(1, 26):
            at.turn(NOON + hours * HOUR)
        at.doors["a"].refuses = False
        for hours in (26, 50, 74):
            at.turn(NOON + hours * HOUR)
        lost = [one.body.count("1 changes never arrived here within a day") for one in at.doors["a"].messages]
        assert lost == [1, 0, 0]
        said = {
            hours: [text for what, text, _ in at.store.rows(
                "list_findings", now=NOON + hours * HOUR, since=None, edition="postgres", no_areas="")
                if what == "notifications of a"]
            for hours in (26, 50)
        }  # fmt: skip
        assert said == {26: ["1 of the last 24 hours lost: not delivered within 24 hours"], 50: []}

    def test_health_ends_with_a_channel_that_fails_for_long(self, desk: Callable[..., Desk]) -> None:
        """Unhealthy once a channel failed for 15 minutes or no turn was made; healthy again afterwards."""
        at = desk(a=mail(), b=mail())
        at.doors["a"].refuses = True
        raised(at.url)
        assert [self._healthy(at, NOON + minutes * MINUTE) for minutes in (1, 14, 17)] == [True, True, False]
        at.doors["a"].refuses = False
        assert self._healthy(at, NOON + 40 * MINUTE)
        at.notifier._clock = lambda: NOON + 41 * MINUTE
        assert not at.notifier.healthy

    def _healthy(self, at: Desk, now: datetime) -> bool:
        at.turn(now)
        at.notifier._clock = lambda: now
        return at.notifier.healthy


class TestGrouping:
    """Many at once are one message."""

    def test_outage_is_one_message(self, desk: Callable[..., Desk]) -> None:
        """Four hundred sensors that fail at once are one message, which counts them and names the first."""
        at = desk(a=mail())
        for number in range(400):
            raised(at.url, f"ndw/{number:03}")
        at.turn(NOON + MINUTE)
        (message,) = at.doors["a"].messages
        assert message.title == "[warning] 400 x raised: Rule no2-alert"
        assert len(message.data) == 400
        assert "and 392 more" in message.body

    def test_few_are_sent_one_by_one(self, desk: Callable[..., Desk]) -> None:
        """Below the channel's number each has a message of its own."""
        at = desk(a=mail(group=5))
        for number in range(4):
            raised(at.url, f"ndw/{number}")
        at.turn(NOON + MINUTE)
        assert len(at.doors["a"].messages) == 4

    def test_storm_is_gathered(self, desk: Callable[..., Desk]) -> None:
        """An outage that trickles in over minutes is a message a minute, and one critical alert does not wait."""
        at = desk(a=mail())
        for second in range(0, 180, 6):
            moment = NOON + timedelta(seconds=second)
            for number in range(6):
                raised(at.url, f"ndw/{second}-{number}", moment)
            at.turn(moment)
        assert len(at.doors["a"].messages) <= 4
        raised(at.url, "ndw/fire", NOON + 3 * MINUTE, severity="critical")
        at.turn(NOON + 3 * MINUTE)
        assert at.doors["a"].told[-1] == ("raised", "ndw/fire")


class TestSilences:
    """Maintenance and quiet hours: what is silenced is sent at the end, if it is still open."""

    def test_still_open_is_sent_at_the_end(self, desk: Callable[..., Desk]) -> None:
        """Held back during the silence; sent when the silence is over."""
        at = desk(a=mail())
        silent(at, first=NOON - HOUR, last=NOON + HOUR)
        raised(at.url)
        at.turn(NOON + MINUTE)
        assert at.doors["a"].told == []
        at.turn(NOON + HOUR + MINUTE)
        assert at.doors["a"].told == [("raised", "luchtmeetnet/NL1")]

    def test_silence_of_days_takes_nothing_from_the_day(self, desk: Callable[..., Desk]) -> None:
        """What was held over a weekend is sent at its end, for a day, however long ago it was written."""
        at = desk(a=mail(digest="14:30"))
        weekend = NOON + 4 * 24 * HOUR  # a Friday
        silent(at, first=NOON, last=None, windows=["sat,sun 00:00-24:00"])
        raised(at.url, at=weekend + 24 * HOUR)
        for hours in range(24, 70):  # local midnight is 22:00 UTC
            at.turn(weekend + hours * HOUR)
        held = [
            one.body.count("1 changes were kept back by a silence") for one in at.doors["a"].messages if not one.data
        ]
        assert (at.doors["a"].told, held) == ([("raised", "luchtmeetnet/NL1")], [1, 0])

    def test_over_before_the_end_is_never_sent(self, desk: Callable[..., Desk]) -> None:
        """Of an alert that was over before its silence neither the beginning nor the end is sent."""
        at = desk(a=mail())
        silent(at, first=NOON - HOUR, last=NOON + HOUR)
        alert = raised(at.url)
        at.turn(NOON + MINUTE)
        cleared(at.url, alert, NOON + 2 * MINUTE)
        at.turn(NOON + 3 * MINUTE)
        at.turn(NOON + 2 * HOUR)
        assert at.doors["a"].told == []
        assert not state(at.store, NOON + 2 * HOUR)

    def test_end_of_a_sent_alert_is_sent(self, desk: Callable[..., Desk]) -> None:
        """Of an alert that was sent before the silence the end is sent after it."""
        at = desk(a=mail())
        alert = raised(at.url)
        at.turn(NOON + MINUTE)
        silent(at, first=NOON + MINUTE, last=NOON + HOUR)
        cleared(at.url, alert, NOON + 2 * MINUTE)
        at.turn(NOON + 3 * MINUTE)
        assert [kind for kind, _ in at.doors["a"].told] == ["raised"]
        at.turn(NOON + HOUR + MINUTE)
        assert [kind for kind, _ in at.doors["a"].told] == ["raised", "cleared"]

    def test_ended_early(self, desk: Callable[..., Desk]) -> None:
        """A silence that somebody ends tells what it held."""
        at = desk(a=mail())
        number = silent(at, first=NOON - HOUR, last=NOON + 24 * HOUR)
        raised(at.url)
        at.turn(NOON + MINUTE)
        assert state(at.store, NOON + MINUTE)[0].held == 1
        assert end_silence(at.store, number, NOON + 5 * MINUTE)
        assert not end_silence(at.store, number, NOON + 5 * MINUTE)
        at.turn(NOON + 6 * MINUTE)
        assert len(at.doors["a"].told) == 1

    def test_quiet_hours_by_area(self, desk: Callable[..., Desk], database: str) -> None:
        """Quiet hours every night for a municipality hold its sensors, and no others."""
        placed(database)
        at = desk(a=mail())
        silent(at, first=NOON - 24 * HOUR, last=None, subject="GM0014", windows=["daily 22:00-07:00"])
        night = NOON + 9 * HOUR  # 23:00 in Amsterdam
        raised(at.url, at=night)
        raised(at.url, "ndw/elsewhere", night)
        at.turn(night + MINUTE)
        assert at.doors["a"].told == [("raised", "ndw/elsewhere")]
        at.turn(night + 8 * HOUR + MINUTE)
        assert len(at.doors["a"].told) == 2

    def test_refused(self, store: Store) -> None:
        """A silence that can hold nothing is refused."""
        with pytest.raises(ValueError, match="weekly window 'nightly'"):
            silence(
                store, rule="*", subject="*", first=NOON, last=None, windows=["nightly"], by="x", reason="y", now=NOON
            )
        with pytest.raises(ValueError, match="ends at"):
            silence(store, rule="*", subject="*", first=NOON, last=NOON, windows=[], by="x", reason="y", now=NOON)
        with pytest.raises(ValueError, match="expected a stamp of the years 1970 to 2099"):
            silence(store, rule="*", subject="*", first=NOON, last=ENDLESS, windows=[], by="x", reason="y", now=NOON)

    def test_far_away_end_of_an_older_version_stops_nothing(self, desk: Callable[..., Desk]) -> None:
        """A stamp that the database took and Python cannot hold, year 10000 in UTC, holds what it is about, no more."""
        at = desk(a=mail())
        silent(at, first=NOON, last=NOON + HOUR, subject="ndw/quiet")
        with psycopg.connect(at.url) as connection:
            connection.execute("UPDATE silence SET last = '10000-01-01'")
        raised(at.url, "ndw/quiet")
        raised(at.url, "ndw/heard")
        at.turn(NOON + MINUTE)
        assert at.doors["a"].told == [("raised", "ndw/heard")]


def silent(
    at: Desk, *, first: datetime, last: datetime | None, subject: str = "*", windows: list[str] | None = None
) -> int:
    """Make a silence for the test's rule."""
    windows = windows or []
    return silence(
        at.store, rule=RULE, subject=subject, first=first, last=last, windows=windows, by="me", reason="test", now=NOON
    )


class TestPeople:
    """Acknowledging, escalation, the daily summary."""

    def test_unacknowledged_is_escalated(self, desk: Callable[..., Desk]) -> None:
        """A channel for escalation gets an alert that was not acknowledged in time, once, and its end."""
        at = desk(a=mail(), phone=mail(escalate_after="30min"))
        alert = raised(at.url)
        at.turn(NOON + MINUTE)
        at.turn(NOON + 20 * MINUTE)
        assert at.doors["phone"].told == []
        for minutes in (32, 40, 90):
            at.turn(NOON + minutes * MINUTE)
        cleared(at.url, alert, NOON + 100 * MINUTE)
        at.turn(NOON + 101 * MINUTE)
        assert [kind for kind, _ in at.doors["phone"].told] == ["escalated", "cleared"]
        assert [kind for kind, _ in at.doors["a"].told] == ["raised", "cleared"]

    def test_somebody_answers(self, desk: Callable[..., Desk]) -> None:
        """The channels that got the alert get the acknowledgement; nothing escalates."""
        at = desk(a=mail(), phone=mail(escalate_after="30min"))
        alert = raised(at.url)
        at.turn(NOON + MINUTE)
        assert acknowledge(at.store, alert, "Anna", NOON + 2 * MINUTE)
        assert acknowledge(at.store, alert, "Bert", NOON + 2 * MINUTE)
        at.turn(NOON + HOUR)
        assert [kind for kind, _ in at.doors["a"].told] == ["raised", "acknowledged"]
        assert "seen to by: Anna" in at.doors["a"].messages[-1].body
        assert at.doors["phone"].told == []

    def test_no_such_alert(self, store: Store) -> None:
        """An alert that is not open cannot be acknowledged."""
        assert not acknowledge(store, 4711, "Anna", NOON)

    def test_summary_once_a_day(self, desk: Callable[..., Desk]) -> None:
        """The daily summary leaves at its time, once, with what is open and what happened."""
        at = desk(a=mail(digest="14:30"))
        raised(at.url, at=NOON)
        at.turn(NOON + MINUTE)
        assert len(at.doors["a"].messages) == 1
        for hours in (1, 2, 3):
            at.turn(NOON + hours * HOUR)
        digest = at.doors["a"].messages[1:]
        assert [one.title for one in digest] == ["Alerts of the day: 1 open"]
        assert "1 alerts were raised" in digest[0].body
        at.turn(NOON + 25 * HOUR)
        assert len(at.doors["a"].messages) == 3

    def test_summary_is_of_what_the_channel_takes(self, desk: Callable[..., Desk]) -> None:
        """Alerts below its severity, or of other rules, are neither listed nor counted."""
        at = desk(
            heavy=mail(digest="14:30", severity="critical"), dust=mail(digest="14:30", rules=("pm*",)),
            all=mail(digest="14:30"), none=mail(digest="14:30", rules=("x",)),
        )  # fmt: skip
        raised(at.url, "ndw/a", severity="critical")
        raised(at.url, "ndw/b", name="pm10-day", severity="info")
        raised(at.url, "ndw/c", severity="info", late=True)
        cleared(at.url, raised(at.url, "ndw/d", name="pm25-day"), NOON + MINUTE)
        at.turn(NOON + HOUR)
        listed = {name: re.findall(r"ndw/\w", door.messages[-1].body) for name, door in at.doors.items()}
        assert listed == {"heavy": ["ndw/a"], "dust": ["ndw/b"], "all": ["ndw/c", "ndw/b", "ndw/a"], "none": []}
        counted = {name: door.messages[-1].body.split("\n")[0] for name, door in at.doors.items()}
        said = "In the last 24 hours {} alerts were raised and {} cleared."
        numbers = {"heavy": (1, 0), "dust": (2, 1), "all": (3, 1), "none": (0, 0)}
        assert counted == {name: said.format(*some) for name, some in numbers.items()}


class TestRealServers:
    """A real SMTP server and a real webhook that fail half of the time."""

    def test_every_transition_arrives_in_order(self, database: str, store: Store) -> None:
        """Exactly once where the channel tells a repetition by its key, at least once by mail, in order in both."""
        rule(database)
        alerts = []
        for number in range(20):
            alerts.append(raised(database, f"ndw/{number}", NOON + number * MINUTE))
            if number >= 10:
                cleared(database, alerts[number - 10], NOON + number * MINUTE)
        sent = [number for number, *_ in outbox(database)]
        with MailBox(0.5) as box, Hook(0.5) as hook:
            channels = {"mail": Channel(url=box.url, group=0), "hook": Channel(url=hook.url, group=0)}
            deliveries = {
                name: ChannelDelivery(name, one, AppriseDoor(one.url).send, STYLE) for name, one in channels.items()
            }
            notifier = Notifier(Channels(channels=channels), deliveries)
            now = NOON + HOUR
            notifier.direct(store, now)
            for _ in range(2_000):
                now += timedelta(seconds=30)
                for delivery in deliveries.values():
                    delivery.turn(store, now)
                if not state(store, now):
                    break
        assert box.turned_down > 5
        assert hook.turned_down > 5
        assert transitions(hook.once()) == sent
        keys = [str(one["X-Stadspuls-Message"]) for one in box.mails]
        assert len(dict.fromkeys(keys)) == len(sent)
        assert [key for key, _ in itertools.groupby(keys)] == list(dict.fromkeys(keys)), "a repetition follows at once"


STEPS = ("before the message is begun", "before it is sent", "after it was sent", "before it is noted",
         "after it is noted")  # fmt: skip


@pytest.mark.long
class TestKilled:
    """kill -9 at every step between commit and delivery."""

    @pytest.mark.parametrize("step", STEPS)
    def test_nothing_lost_nothing_twice(self, step: str, database: str, tmp_path: Path) -> None:
        """Killed there and started again, every transition is delivered; a repetition has the same key and words."""
        rule(database)
        for number in range(7):
            raised(database, f"ndw/{number}", NOON + number * MINUTE)
        with Hook() as hook:
            assert self._run(tmp_path, database, hook, step) == -9
            raised(database, "ndw/later", NOON + HOUR)
            assert self._run(tmp_path, database, hook, "never") == 0
            assert self._run(tmp_path, database, hook, "never") == 0
        assert transitions(hook.once()) == list(range(1, 9))
        repeated = len(hook.posts) - len(hook.once())
        assert repeated == (1 if step in ("after it was sent", "before it is noted") else 0)

    def _run(self, folder: Path, database: str, hook: Hook, step: str) -> int:
        log = folder / "notifier.log"
        code = Program(killed_notifier.deliver, database, hook.url, step, out=log, err=log).wait(60)
        assert not log.read_text() or code == -9, log.read_text()
        return code


class TestNotifier:
    """The threads: one notifier works, a second accepts over, the heartbeat goes while it is well."""

    @pytest.fixture
    def hook(self) -> Iterator[Hook]:
        """A webhook that never fails."""
        with Hook() as made:
            yield made

    def _notifier(self, database: str, hook: Hook, directory: Path) -> NotifierPart:
        text = f'''
            [channel.hook]
            url = "{hook.url}"
            [heartbeat]
            url = "http://127.0.0.1:{hook.port}/beat"
            every = "1s"
        '''
        path = directory / "channels.toml"
        path.write_text(text)
        return notifier_of(load({"alert_channels": path}), database)

    def test_second_takes_over(self, database: str, hook: Hook, tmp_path: Path) -> None:
        """While the first lives the second waits; when its sessions end the second delivers."""
        rule(database)
        first, second = (self._notifier(database, hook, tmp_path) for _ in range(2))
        first.start()
        until(lambda: first.leads)
        second.start()
        until(lambda: second.turns > 2)
        assert not second.leads
        raised(database, "ndw/1", datetime.now(UTC))
        until(lambda: transitions(hook.posts) == [1])
        until(lambda: "/beat" in hook.gets)
        first.stop(5)
        until(lambda: second.leads)
        raised(database, "ndw/2", datetime.now(UTC))
        until(lambda: transitions(hook.posts) == [1, 2])
        second.stop(5)

    def test_new_rows_are_told(
        self, database: str, hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A notifier that never asks by itself sends what is written, because the database tells it."""
        monkeypatch.setattr("hub.run.notifying.SELDOM", 3600.0)
        monkeypatch.setattr("hub.run.notifying.AWAKE", 60.0)
        rule(database)
        notifier = self._notifier(database, hook, tmp_path)
        notifier.start()
        until(lambda: notifier.leads)
        for number in (1, 2):
            raised(database, f"ndw/{number}", datetime.now(UTC))
            until(lambda number=number: transitions(hook.posts) == list(range(1, number + 1)))  # type: ignore[misc]
        notifier.stop(5)

    def test_goes_on_leading_while_it_asks(self, database: str, hook: Hook, tmp_path: Path) -> None:
        """While the database takes its time to say that the lock is still held, the channels go on."""
        notifier, seen = self._notifier(database, hook, tmp_path), list[bool]()

        class Slow(Store):
            def rows(self, statement: str, *view: str, **parameters: object) -> list[tuple[Any, ...]]:
                seen.append(notifier.leads)
                return super().rows(statement, *view, **parameters)

        with closing(Slow(database)) as store:
            notifier.lead(store)
            seen.clear()
            notifier.lead(store)
        assert all(seen)

    def test_database_away(self, database: str, hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sessions that the server ends are opened again, and delivery goes on."""
        rule(database)
        notifier = self._notifier(database, hook, tmp_path)
        notifier.start()
        until(lambda: notifier.leads)
        with psycopg.connect(database, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
                "WHERE application_name LIKE '%notify' AND datname = current_database()"
            )
        raised(database, "ndw/1", datetime.now(UTC))
        until(lambda: transitions(hook.posts) == [1])
        notifier.stop(5)

    def test_notifier_that_cannot_read_is_not_healthy(
        self, database: str, hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A fault at every reading of the outbox is named, counted, and no reason to end: it goes on afterwards."""
        rule(database)
        notifier = self._notifier(database, hook, tmp_path)
        broken = [True]
        turn = ChannelDelivery.turn

        def fails(self: ChannelDelivery, store: Store, now: datetime) -> bool:
            if broken[0]:
                raise KeyError("no such column")
            return turn(self, store, now)

        monkeypatch.setattr(ChannelDelivery, "turn", fails)
        notifier.start()
        until(lambda: notifier.trouble == ["turn of channel hook: KeyError: 'no such column'"])
        assert not notifier.healthy
        raised(database, "ndw/1", datetime.now(UTC))
        broken[0] = False
        until(lambda: transitions(hook.posts) == [1])
        until(lambda: notifier.healthy)
        notifier.stop(5)
