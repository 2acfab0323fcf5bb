"""Updates over MQTT: which windows are sent and when, each as HTTP answers it, and that nothing is left out."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import pytest

from aggregates.areas.roll_up import roll_areas
from aggregates.store.store import Store
from hub.servers.process import CannotStart
from hub.web.sta import updates
from hub.web.sta.updates import Updates
from ingest.mqtt.address import Address
from ingest.mqtt.receiver import Receiver
from ingest.mqtt.sender import Sender
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Reading
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.support.apis import fill, served, serving
from tests.support.brokers import NEEDS_MOSQUITTO, mosquitto
from tests.support.hubs import UpHub
from tests.support.lines import Taker, until

BEGIN = datetime(2024, 6, 3, tzinfo=UTC)
LATER = datetime(2024, 9, 1, tzinfo=UTC)
HOURS = "properties/level eq '1h'"


class Recorder(Sender):
    """What a broker would get; one that is `away` confirms nothing."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.away = False

    def publish(self, topic: str, payload: bytes) -> None:
        """Keep it."""
        self.sent.append((topic, payload))

    def flush(self, seconds: float | None = None) -> None:
        """Confirm it, or not."""
        if self.away:
            raise TimeoutError("not confirmed")

    def taken(self) -> list[Any]:
        """Give the Observations that came since the last time, by their ids."""
        found, self.sent = [json.loads(payload) for _, payload in self.sent], []
        return sorted(found, key=lambda one: int(one["@iot.id"]))


@pytest.fixture
def recorder() -> Recorder:
    """A broker."""
    return Recorder()


def count(hour: int, value: float, channel: str = "", sensor: str = "stadspuls/new") -> Reading:
    """An hour of a counter."""
    return Reading(sensor, channel, "vehicle_count", 3600, BEGIN + timedelta(hours=hour), value)


def compute(store: Store, *readings: Reading) -> None:
    """Store readings, and roll their hours up."""
    Pipeline(store).store(Batch(columns(readings, [LATER] * len(readings))))
    roll_up(store, LATER)


def sending(store: Store, recorder: Recorder, chosen: str = HOURS, address: str = "") -> Updates:
    """Give updates that have begun: what is computed from now on is sent."""
    made = Updates(serving(store.conninfo, sta_updates=chosen, http_url=address), store, recorder)
    made.turn()
    assert recorder.taken() == []
    return made


class TestWhatIsSent:
    """The windows of chosen Datastreams, as they are computed."""

    def test_it_is_what_http_answers(self, store: Store, recorder: Recorder) -> None:
        """Hours and days of channels, of sensors and of areas, byte for byte, each on the topic of its Datastream."""
        fill(store)
        with served(serving(store.conninfo)) as address, httpx.Client(timeout=60) as client:
            made = sending(store, recorder, "true", address)
            compute(store, count(1, 5.0, "lane1"), count(1, 7.0, "lane2"), count(30, 1.0, sensor="stadspuls/alone"))
            made.turn()
            assert len(recorder.sent) == 8
            for topic, payload in recorder.sent:
                answer = client.get(json.loads(payload)["@iot.selfLink"])
                stream = client.get(answer.json()["Datastream@iot.navigationLink"]).json()["@iot.id"]
                assert (topic, payload) == (f"v1.1/Datastreams({stream})/Observations", answer.content)

    def test_areas(self, store: Store, recorder: Recorder) -> None:
        """When the hours of an area are made anew, so are its Observations."""
        fill(store)
        made = sending(store, recorder, "Thing/properties/code eq 'BU99010000' and ObservedProperty/name eq 'no2'")
        reading = Reading(
            "stadspuls/a", "", "no2", 3600, BEGIN + timedelta(hours=5), 11.0, version=1_730_000_000_000_000
        )
        compute(store, reading)
        roll_areas(store)
        made.turn()
        spans = [one["phenomenonTime"] for one in recorder.taken()]
        assert "2024-06-03T05:00:00Z/2024-06-03T06:00:00Z" in spans
        assert "2024-06-02T23:00:00Z/2024-06-03T23:00:00Z" in spans

    def test_a_late_reading_makes_an_update(self, store: Store, recorder: Recorder) -> None:
        """The hour comes again with its new figure, and what is chosen by no filter does not."""
        made = sending(store, recorder)
        compute(store, count(1, 5.0, "lane1"))
        made.turn()
        assert [one["result"] for one in recorder.taken()] == [5.0]
        compute(store, count(1, 7.0, "lane2"))
        made.turn()
        found = {one["result"]: one for one in recorder.taken()}
        assert {12.0, 7.0} <= found.keys()
        assert found[12.0]["resultQuality"]["readings"] == 2
        made.turn()
        assert recorder.taken() == []

    def test_an_hour_waits_until_it_is_closed(self, store: Store, recorder: Recorder) -> None:
        """HTTP makes it of 5-minute rows until then, with another `resultTime`."""
        made = sending(store, recorder)
        compute(store, count(1, 5.0))
        with store.transaction() as tx:
            tx.script("UPDATE rollup SET closed_until = '2024-06-03 01:00+00'")
            tx.script("UPDATE sta_sent SET computed_at = now() - interval '12 hours'")
        for _ in range(24):  # also where it has to be looked for, part by part
            made.turn()
        assert recorder.taken() == []
        roll_up(store, LATER)
        made.turn()
        assert [one["result"] for one in recorder.taken()] == [5.0]


class TestHowFar:
    """Nothing is left out, whatever happens between two turns."""

    def test_much_is_sent_in_many_turns(
        self, store: Store, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So many hours in each, and all of them in the end."""
        monkeypatch.setattr(updates, "MOST", 7)
        made = sending(store, recorder)
        compute(store, *(count(hour, hour) for hour in range(20)))
        turns: list[list[float]] = []
        while not turns or turns[-1]:
            made.turn()
            turns.append([one["result"] for one in recorder.taken()])
        assert [len(one) for one in turns] == [7, 7, 6, 0]
        assert sorted(chain.from_iterable(turns)) == list(range(20))

    def test_what_waits_for_days_is_looked_at_part_by_part(self, store: Store, recorder: Recorder) -> None:
        """A hub that was away for days makes up for it without reading all of them in every turn."""
        made = sending(store, recorder)
        compute(store, *(count(hour, hour) for hour in range(100)))
        with store.transaction() as tx:
            every = "now() - interval '36 hours' + (start - '2024-06-03 00:00+00') / 3"
            tx.script(f"UPDATE window_1h SET computed_at = {every}")
            tx.script("UPDATE sta_sent SET computed_at = now() - interval '2 days'")
        turns: list[list[float]] = []
        for _ in range(2 * 24 + 10):
            made.turn()
            turns.append([one["result"] for one in recorder.taken()])
        assert list(chain.from_iterable(turns)) == list(range(100))
        assert max(map(len, turns)) < 5

    def test_what_is_not_confirmed_is_sent_again(self, store: Store, recorder: Recorder) -> None:
        """Nothing more is given to a broker that is away, and it gets the same when it is back."""
        made = sending(store, recorder)
        compute(store, count(1, 5.0))
        recorder.away = True
        for _ in range(3):
            with pytest.raises(TimeoutError):
                made.turn()
        assert recorder.taken() == []
        recorder.away = False
        made.turn()
        assert len(recorder.taken()) == 1

    def test_a_restart_goes_on(self, store: Store, recorder: Recorder) -> None:
        """With the same filter where it was, with another from now on."""
        sending(store, recorder)
        compute(store, count(1, 5.0))
        Updates(serving(store.conninfo, sta_updates=HOURS), store, recorder).turn()
        assert len(recorder.taken()) == 1
        compute(store, count(2, 5.0))
        sending(store, recorder, "properties/level eq '1d'")

    def test_what_is_under_way_is_waited_for(self, store: Store, recorder: Recorder) -> None:
        """A roll-up that began before another ended is sent when it has ended, though its date is the older one."""
        made = sending(store, recorder)
        other = store.another()
        with other.transaction() as slow:
            slow.rows("read_state", now=LATER)
            compute(store, count(1, 5.0))
            made.turn()
            assert recorder.taken() == []
        other.close()
        made.turn()
        assert len(recorder.taken()) == 1

    def test_of_several_one_sends(self, store: Store, recorder: Recorder) -> None:
        """Another takes over when its session ends."""
        made, other = sending(store, recorder), store.another()
        waiting = Updates(serving(store.conninfo, sta_updates=HOURS), other, recorder)
        compute(store, count(1, 5.0))
        waiting.turn()
        assert recorder.taken() == []
        store.close()

        def has_taken_over() -> bool:
            waiting.turn()
            return len(recorder.sent) == 1

        until(has_taken_over)
        made.turn()
        assert len(recorder.taken()) == 1
        other.close()


class TestFilters:
    """One that cannot be is refused when the hub starts."""

    @pytest.mark.parametrize(
        ("chosen", "said"),
        [
            ("properties/levl eq '1h'", "'properties/levl', expected one of"),
            ("properties/level eq", "sta_updates"),
            ("properties/level eq 5", "operator does not exist"),
            ("level(1) eq 5", "level of 1, expected one of"),
        ],
    )
    def test_refused(self, store: Store, recorder: Recorder, chosen: str, said: str) -> None:
        """What was found and what was expected, with the name of the setting."""
        with pytest.raises(CannotStart, match="sta_updates") as refused:
            Updates(serving(store.conninfo, sta_updates=chosen), store, recorder)
        assert said in str(refused.value)


def test_the_root_names_the_class(store: Store) -> None:
    """With the address of the broker by which clients reach the hub; without the setting neither is there."""
    with (
        served(serving(store.conninfo, sta_updates=HOURS, mqtt_port=1884)) as on,
        served(serving(store.conninfo)) as off,
    ):
        said = httpx.get(f"{on}/sta/v1.1").json()["serverSettings"]
        name = said["conformance"][-1]
        assert name.endswith("/req/receive-updates-via-mqtt/receive-updates")
        assert said[name] == {"endpoints": ["mqtt://127.0.0.1:1884"]}
        assert httpx.get(f"{off}/sta/v1.1").json()["serverSettings"].keys() == {"conformance"}


def minute(number: int) -> bytes:
    """A minute of a counter, as own JSON."""
    start = datetime(2026, 3, 2, 8, number, tzinfo=UTC).isoformat().encode()
    return b'{"sensor_id":"stadspuls/b","quantity":"bicycle_count","period":60,"start":"%s","value":1}' % start


class TestHub:
    """A hub, a broker and a client that has subscribed."""

    @pytest.fixture(params=[pytest.param("mosquitto", marks=NEEDS_MOSQUITTO), "built in"])
    def hub(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[UpHub]:
        """A hub that sends updates of hours, by either broker."""
        with ExitStack() as stack:
            made = UpHub(tmp_path / "hub")
            if request.param == "mosquitto":
                broker = mosquitto(tmp_path).start()
                stack.callback(broker.stop)
                made = UpHub(tmp_path / "hub", f"--broker=mqtt://127.0.0.1:{broker.port}")
                made.mqtt_port = broker.port
            stack.callback(made.clean_up)
            made.directory.mkdir()
            (made.directory / "stadspuls.toml").write_text(f'sta_updates = "{HOURS}"\n')
            made.start()
            yield made

    def test_a_late_reading_reaches_who_has_subscribed(self, hub: UpHub) -> None:
        """The hour comes, and after a late minute again: with its `parameters`, and as HTTP answers it."""
        address = Address.parse(f"mqtt://127.0.0.1:{hub.mqtt_port}")
        reader = Taker(Receiver(address, ["v1.1/+/Observations"], "reader"))
        with Sender(address) as sender:
            for minutes, expected in ((range(59), 59.0), (range(59, 60), 60.0)):
                for number in minutes:
                    sender.publish("stadspuls/stadspuls/b", minute(number))
                sender.flush(60)
                wait_for(expected, reader)
        hub.settle()
        last = json.loads(reader.payloads()[-1])
        assert last["phenomenonTime"] == "2026-03-02T08:00:00Z/2026-03-02T09:00:00Z"
        assert last["resultQuality"]["readings"] == 60
        assert last["parameters"]["revision"] > 1
        assert hub.get(f"/sta/v1.1/Observations({last['@iot.id']})").encode() == reader.payloads()[-1]
        assert reader.stop()
        accounts = "60 received = 60 stored + 0 duplicate + 0 corrected + 0 rejected"
        assert accounts in hub.run("doctor")


def wait_for(result: float, taker: Taker) -> None:
    """Wait until the newest Observation has a result."""
    until(lambda: [json.loads(payload)["result"] for payload in taker.payloads()][-1:] == [result])
