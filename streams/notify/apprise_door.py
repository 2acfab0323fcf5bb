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

import msgspec
from apprise import Apprise, NotifyFormat, NotifyType
from apprise.plugins import NotifyBase
from apprise.plugins.custom_json import NotifyJSON
from apprise.plugins.email import NotifyEmail
from apprise.plugins.mqtt import NotifyMQTT

from streams.notify.delivery import Unsent
from streams.notify.texts import Notification

TOPIC = "stadspuls/alerts"
_TYPES = {"info": NotifyType.INFO, "warning": NotifyType.WARNING, "critical": NotifyType.FAILURE}

# The log messages of Apprise come back with the result; they must not go to stderr as well.
logging.getLogger("apprise").addHandler(logging.NullHandler())
logging.getLogger("apprise").propagate = False


class AppriseDoor:
    """A service of Apprise, by its URL. Raises ValueError with the reason, without the secrets in the URL."""

    def __init__(self, url: str) -> None:
        self._plugin = _plugin(url)
        self._url = url
        self._plugin.request_rate_per_sec = 0  # `streams.notify.delivery` limits the rate; Apprise must not sleep
        self._apprise = Apprise(self._plugin)

    @property
    def shown(self) -> str:
        """The URL with its secrets masked."""
        url: Callable[..., str] = self._plugin.url
        return url(privacy=True).partition("?")[0]

    def send(self, message: Notification) -> None:
        """Send a message; raises Unsent when the service did not accept it."""
        if isinstance(self._plugin, NotifyMQTT):
            self._plugin.qos, self._plugin.retain = 1, True  # a later subscriber gets the last transition of each alert
            for one in message.data:
                self._plugin.topics = [topic_of(one)]
                self._notify("", msgspec.json.encode({"key": message.key, **one}).decode(), NotifyType.INFO)
            return
        if isinstance(self._plugin, NotifyJSON):
            self._plugin.headers["Idempotency-Key"] = message.key
            self._plugin.payload_extras.update(key=message.key, severity=message.severity, alerts=list(message.data))
        elif isinstance(self._plugin, NotifyEmail):
            # The mails of one alert are one thread, and the key tells a copy.
            alerts = {one["alert"] for one in message.data}
            thread = f"stadspuls-alert-{alerts.pop()}" if len(alerts) == 1 else message.key
            self._plugin.headers.update({"X-Stadspuls-Message": message.key, "References": f"<{thread}@stadspuls>"})
        kind = NotifyType.SUCCESS if message.good else _TYPES[message.severity]
        as_is = isinstance(self._plugin, NotifyJSON | NotifyEmail)
        title, body = (message.title, message.body) if as_is else (inert(message.title), inert(message.body))
        self._notify(title, body, kind)

    def _notify(self, title: str, body: str, kind: NotifyType) -> None:
        result = self._apprise.notify(body=body, title=title, notify_type=kind, body_format=NotifyFormat.TEXT)
        if not result:
            said = " ".join(entry.message for entry in result.logs() if entry.level in ("WARNING", "ERROR", "CRITICAL"))
            raise Unsent(_hidden(said[:500], self._url, self.shown) or f"{self.shown} did not accept it")


def inert(text: str) -> str:
    r"""
    Keep a chat from reading a mention, a tag or a masked link in a text: an invisible word joiner parts its marks.

    >>> print(ascii(inert("@everyone <!channel> [x](http://y)")))
    '@\u2060everyone <\u2060!channel> [x]\u2060(http://y)'
    """
    return re.sub(r"(@|<|\](?=\())(?=\S)", "\\1\u2060", text)


def topic_of(one: dict[str, Any]) -> str:
    """
    Give the topic of an alert; characters that a topic must not contain are percent-encoded.

    >>> topic_of({"rule": "no2", "subject": "luchtmeetnet/NL10938"})
    'stadspuls/alerts/no2/luchtmeetnet/NL10938'
    """
    return f"{TOPIC}/{quote(str(one['rule']), safe='')}/{quote(str(one['subject']), safe='/:')}"


def _plugin(url: str) -> NotifyBase:
    scheme = url.partition(":")[0]
    if scheme in ("mqtt", "mqtts") and urlsplit(url).path in ("", "/"):
        url = f"{url.partition('?')[0].rstrip('/')}/{TOPIC}"
    try:
        plugin = Apprise.instantiate(url, suppress_exceptions=False)
    except (TypeError, ValueError) as error:
        raise ValueError(_hidden(f"{scheme}:// {error}", url, scheme)) from None
    if not isinstance(plugin, NotifyBase):
        raise ValueError(f"{scheme}:// names no service of Apprise, or lacks what that service needs")
    if not len(plugin):
        raise ValueError(f"{scheme}:// names no recipient")
    return plugin


def _hidden(text: str, url: str, shown: str) -> str:
    """Mask in a message the parts of a URL that are not in what is shown of it."""
    parts = re.split(r"[/:@?&=,]+", url)
    secrets = {part for part in (*parts, *map(unquote, parts)) if len(part) > 3 and part not in shown}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
