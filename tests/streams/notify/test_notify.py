"""The Apprise door: what is sent arrives at real servers, and a failure names its reason."""

import json
import re
import threading
from collections.abc import Iterator
from email.header import decode_header, make_header
from pathlib import Path

import pytest

from ingest.mqtt.receiver import Receiver
from streams.notify.apprise_door import AppriseDoor, topic_of
from streams.notify.delivery import Unsent
from streams.notify.texts import Notification
from tests.support.brokers import MOSQUITTO, Broker, built_in, mosquitto
from tests.support.receivers import Hook, MailBox

ONE = {"transition": 7, "alert": 3, "kind": "raised", "rule": "no2-alert", "subject": "luchtmeetnet/NL10938",
       "severity": "critical", "since": "2024-06-01T12:00:00Z", "text": "NO2 is high"}  # fmt: skip
MESSAGE = Notification(
    key="stadspuls-1",
    title="[critical] NO2",
    body="where: Nijensteinheerd\nvalue: 412",
    severity="critical",
    data=(ONE,),
)


class TestMail:
    """Through a real SMTP server."""

    def test_arrives_as_plain_text(self) -> None:
        """Subject, text, the key of the message and the thread of its alert are in the mail."""
        with MailBox() as box:
            AppriseDoor(box.url).send(MESSAGE)
        (mail,) = box.mails
        assert str(make_header(decode_header(mail["Subject"]))) == MESSAGE.title
        assert mail["X-Stadspuls-Message"] == "stadspuls-1"
        assert mail["References"] == "<stadspuls-alert-3@stadspuls>"
        assert mail.get_content_type() == "text/plain"
        payload = mail.get_payload(decode=True)
        assert isinstance(payload, bytes)
        assert payload.decode().splitlines() == MESSAGE.body.splitlines()

    def test_refusal_raises_with_the_reason(self) -> None:
        """A server that turns mail down is an error with a reason, and so is one that is not there."""
        with MailBox(failing=1.0) as box, pytest.raises(Unsent, match="failed"):
            AppriseDoor(box.url).send(MESSAGE)
        with pytest.raises(Unsent, match="Connection error"):
            AppriseDoor(box.url).send(MESSAGE)


class TestWebhook:
    """Through a real HTTP server."""

    def test_carries_key_and_data(self) -> None:
        """The receiver gets the transitions as data, and a key to tell a repetition by."""
        with Hook() as hook:
            door = AppriseDoor(hook.url)
            door.send(MESSAGE)
            door.send(Notification(key="stadspuls-2", title="t", body="b"))
        assert hook.keys == ["stadspuls-1", "stadspuls-2"]
        first, second = hook.posts
        assert (first["title"], first["message"], first["alerts"]) == (MESSAGE.title, MESSAGE.body, [ONE])
        assert second["alerts"] == []

    def test_refusal_raises_with_the_reason(self) -> None:
        """An answer above 299 is an error with the status."""
        with Hook(failing=1.0) as hook, pytest.raises(Unsent, match="503"):
            AppriseDoor(hook.url).send(MESSAGE)

    @pytest.mark.parametrize(
        ("status", "for_good"), [(400, True), (413, True), (401, False), (429, False), (503, False)]
    )
    def test_refusal_for_good_is_known_by_the_status(self, status: int, for_good: bool) -> None:
        """What is wrong with the message stays wrong; a login, a limit or a fault of the server may be mended."""
        with Hook(failing=1.0, refusal=status) as hook, pytest.raises(Unsent) as caught:
            AppriseDoor(hook.url).send(MESSAGE)
        assert caught.value.for_good is for_good


class TestChat:
    """Through a chat that reads markup, which Mattermost does."""

    def test_text_of_others_stays_text(self) -> None:
        """A sensor whose name is a mention, a tag or a masked link calls nobody, and hides no address."""
        name = "@everyone <!channel> [your bank](https://evil.example)"
        with Hook() as hook:
            door = AppriseDoor(f"mmost://127.0.0.1:{hook.port}/{'a' * 24}")
            door.send(Notification(key="k", title=name, body=f"where: {name}"))
        (post,) = hook.posts
        assert "@everyone" in post["text"].replace("\u2060", "")
        assert not re.search(r"@everyone|<!|\]\(", post["text"])


class TestBirth:
    """A URL that cannot work is refused when the door is made."""

    @pytest.mark.parametrize(
        ("url", "reason"),
        [("nosuch://host", "names no service"), ("mailto://", "From"), ("slack://", "Token"),
         ("json://", "names no service")],
    )  # fmt: skip
    def test_refused(self, url: str, reason: str) -> None:
        """The reason names what is missing."""
        with pytest.raises(ValueError, match=reason):
            AppriseDoor(url)

    def test_no_secret_in_the_reason(self) -> None:
        """A token that is wrong is not repeated."""
        with pytest.raises(ValueError, match="tgram") as caught:
            AppriseDoor("tgram://notatoken/verysecret/parts")
        assert "notatoken" not in str(caught.value)
        assert "verysecret" not in str(caught.value)


def test_topic_is_one_a_broker_takes() -> None:
    """What a topic may not hold is encoded."""
    assert topic_of({"rule": "a/b", "subject": "ttn/x+y#z"}) == "stadspuls/alerts/a%2Fb/ttn/x%2By%23z"


def test_dutch_is_readable() -> None:
    """A mail with letters beyond ASCII keeps them, in its subject and in its text."""
    with MailBox() as box:
        AppriseDoor(box.url).send(Notification(key="k", title="één melding", body="twee ë"))
    payload = box.mails[0].get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert (str(make_header(decode_header(box.mails[0]["Subject"]))), payload.decode().strip()) == (
        "één melding",
        "twee ë",
    )


@pytest.fixture(params=["built-in", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """A real broker."""
    if request.param == "mosquitto" and MOSQUITTO is None:
        pytest.skip("no mosquitto program")
    made = built_in(tmp_path) if request.param == "built-in" else mosquitto(tmp_path)
    made.start()
    yield made
    made.stop()


class TestMqtt:
    """Through a real broker."""

    def test_alert_is_retained_on_its_own_topic(self, broker: Broker) -> None:
        """A later subscriber gets the last transition of each alert."""
        door = AppriseDoor(f"mqtt://127.0.0.1:{broker.port}")
        cleared = {**ONE, "kind": "cleared"}
        other = {**ONE, "subject": "ndw/A+1", "transition": 8}
        door.send(Notification(key="k1", title="t", body="b", data=(ONE, other)))
        door.send(Notification(key="k2", title="t", body="b", data=(cleared,)))
        found = subscribed(broker, 2)
        assert found["stadspuls/alerts/no2-alert/luchtmeetnet/NL10938"] == {"key": "k2", **cleared}
        assert found["stadspuls/alerts/no2-alert/ndw/A%2B1"] == {"key": "k1", **other}

    def test_broker_away_raises_until_it_is_back(self, tmp_path: Path) -> None:
        """Without a broker a message is an error; the same door works once there is one."""
        broker = built_in(tmp_path)
        door = AppriseDoor(f"mqtt://127.0.0.1:{broker.port}")
        with pytest.raises(Unsent):
            door.send(MESSAGE)
        broker.start()
        try:
            door.send(MESSAGE)
            assert len(subscribed(broker, 1)) == 1
        finally:
            broker.stop()


def subscribed(broker: Broker, count: int) -> dict[str, object]:
    """Subscribe to the alerts and give the first messages by topic."""
    receiver = Receiver(broker.address(), ["stadspuls/alerts/#"], client_id="late")
    found: dict[str, object] = {}

    def listen() -> None:
        for deliveries in receiver.rounds():
            found.update({one.topic: json.loads(one.payload) for one in deliveries})
            receiver.acknowledge(one.token for one in deliveries)
            if len(found) >= count:
                done.set()

    done = threading.Event()
    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    receiver.start()
    done.wait(60)
    receiver.stop(5)
    thread.join(60)
    return found
