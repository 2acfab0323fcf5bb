"""
The Apprise door: one message out through one channel's URL, or `Unsent` with the reason.

`streams.notify.delivery` decides what is sent when, and calls `send`. Apprise knows over a hundred services
(https://appriseit.com/services/). The hub adds a key by which a receiver recognises a repetition: a header
`Idempotency-Key` and the transitions as data for `json://`, a header `X-Stadspuls-Message` and one thread for each
alert for mail, a retained topic for each alert for `mqtt://`.
"""

import logging
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from urllib.request import urlopen

import msgspec
from apprise import Apprise, AppriseResult, NotifyFormat, NotifyType
from apprise.plugins import NotifyBase
from apprise.plugins.custom_json import NotifyJSON
from apprise.plugins.email import NotifyEmail
from apprise.plugins.mqtt import NotifyMQTT

from streams.notify.texts import Notification

TOPIC = "stadspuls/alerts"
_TYPES = {"info": NotifyType.INFO, "warning": NotifyType.WARNING, "critical": NotifyType.FAILURE}

# The log messages of Apprise come back with the result; they must not go to stderr as well.
logging.getLogger("apprise").addHandler(logging.NullHandler())
logging.getLogger("apprise").propagate = False


class Unsent(Exception):  # noqa: N818 - named for what happened
    """The service did not accept a notification; the text is the reason, without secrets."""

    @property
    def for_good(self) -> bool:
        """Tell whether the service will never take this message, by the status of HTTP, though it may take others."""
        status = re.search(r"error=(\d{3})\b", str(self))
        return status is not None and status[1] in ("400", "406", "413", "414", "415", "422", "431")


class AppriseDoor:
    """A service of Apprise, by its URL. Raises ValueError with the reason, without the secrets in the URL."""

    def __init__(self, url: str) -> None:
        self._plugin = _plugin(url)
        self._secrets = _secrets(url, self.shown)
        self._plugin.request_rate_per_sec = 0  # `streams.notify.delivery` limits the rate; Apprise must not sleep
        self._apprise = Apprise()
        self._apprise.add(self._plugin)

    @property
    def shown(self) -> str:
        """The URL with its secrets masked."""
        url: Callable[..., str] = self._plugin.url
        return url(privacy=True).partition("?")[0]

    def send(self, message: Notification) -> None:
        """Send a message; raises Unsent when the service did not accept it."""
        if isinstance(self._plugin, NotifyMQTT):
            self._publish(self._plugin, message)
            return
        if isinstance(self._plugin, NotifyJSON):
            self._plugin.headers["Idempotency-Key"] = message.key
            self._plugin.payload_extras.update(key=message.key, severity=message.severity, alerts=list(message.data))
        elif isinstance(self._plugin, NotifyEmail):
            self._plugin.headers.update(_mail_headers(message))
        kind = NotifyType.SUCCESS if message.good else _TYPES[message.severity]
        as_is = isinstance(self._plugin, NotifyJSON | NotifyEmail)
        title, body = (message.title, message.body) if as_is else (inert(message.title), inert(message.body))
        self._notify(title, body, kind)

    def _publish(self, plugin: NotifyMQTT, message: Notification) -> None:
        """Publish each transition on the topic of its alert, retained: a later subscriber gets the last one."""
        plugin.qos, plugin.retain = 1, True
        for one in message.data:
            plugin.topics = [topic_of(TOPIC, one)]
            self._notify("", msgspec.json.encode({"key": message.key, **one}).decode(), NotifyType.INFO)

    def _notify(self, title: str, body: str, kind: NotifyType) -> None:
        result = self._apprise.notify(body=body, title=title, notify_type=kind, body_format=NotifyFormat.TEXT)
        if not result:
            raise Unsent(_hidden(_reason(result), self._secrets) or f"{self.shown} did not accept it")


def inert(text: str) -> str:
    r"""
    Keep a chat from reading a mention, a tag or a masked link in a text: an invisible word joiner parts its marks.

    >>> print(ascii(inert("@everyone <!channel> [x](http://y)")))
    '@\u2060everyone <\u2060!channel> [x]\u2060(http://y)'
    """
    return re.sub(r"(@|<|\](?=\())(?=\S)", "\\1\u2060", text)


def ping(url: str, seconds: float = 10.0) -> None:
    """Request a URL, so that a monitor knows that the notifier runs. Raises OSError."""
    with urlopen(url, timeout=seconds) as answer:
        answer.read(1_000)


def topic_of(root: str, one: dict[str, Any]) -> str:
    """
    Give the topic of an alert; characters that a topic must not contain are percent-encoded.

    >>> topic_of("stadspuls/alerts", {"rule": "no2", "subject": "luchtmeetnet/NL10938"})
    'stadspuls/alerts/no2/luchtmeetnet/NL10938'
    """
    return f"{root}/{quote(str(one['rule']), safe='')}/{quote(str(one['subject']), safe='/:')}"


def _plugin(url: str) -> NotifyBase:
    scheme = url.partition(":")[0]
    if scheme in ("mqtt", "mqtts") and urlsplit(url).path in ("", "/"):
        url = f"{url.partition('?')[0].rstrip('/')}/{TOPIC}"
    try:
        plugin = Apprise.instantiate(url, suppress_exceptions=False)
    except (TypeError, ValueError) as error:
        raise ValueError(_hidden(f"{scheme}:// {error}", _secrets(url, scheme))) from None
    if not isinstance(plugin, NotifyBase):
        raise ValueError(f"{scheme}:// names no service of Apprise, or lacks what that service needs")
    if not len(plugin):
        raise ValueError(f"{scheme}:// names no recipient")
    return plugin


def _secrets(url: str, shown: str) -> list[str]:
    """Give the parts of a URL that are not in the masked one: no error message may contain them."""
    parts = re.split(r"[/:@?&=,]+", url)
    secret = {part for part in (*parts, *map(unquote, parts)) if len(part) > 3 and part not in shown}
    return sorted(secret, key=len, reverse=True)


def _hidden(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _mail_headers(message: Notification) -> dict[str, str]:
    """Put the mails of one alert in one thread, and give each notification a key by which a copy is recognised."""
    alerts = {one["alert"] for one in message.data}
    thread = f"<stadspuls-alert-{alerts.pop()}@stadspuls>" if len(alerts) == 1 else f"<{message.key}@stadspuls>"
    return {"X-Stadspuls-Message": message.key, "References": thread}


def _reason(result: AppriseResult) -> str:
    texts = [entry.message for entry in result.logs() if entry.level in ("WARNING", "ERROR", "CRITICAL")]
    return " ".join(texts)[:500]
