"""A broker's address: one URL, refused when it is read."""

import pytest

from ingest.mqtt.address import Address


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://broker", "scheme 'http'"),
        ("mqtt://", "without a host"),
        ("mqtt://broker:0", "port 0"),
        ("mqtt://broker:99999", "port is not a number"),
        ("mqtt://broker/topic", "path '/topic'"),
        ("mqtt://broker?version=3", "version '3'"),
        ("mqtt://broker?qos=2", "option qos"),
        ("mqtt://broker?ca=/nowhere", "ca with mqtt"),
        ("mqtts://broker?ca=/nowhere", "ca: no file '/nowhere'"),
        ("mqtts://broker?key=/nowhere", "key without cert"),
    ],
)
def test_bad_address(url: str, expected: str) -> None:
    """An address that cannot work is refused when it is read, and the message names the part."""
    with pytest.raises(ValueError, match=expected):
        Address.parse(url)


def test_password_stays_hidden() -> None:
    """No text made of an address shows its password."""
    address = Address.parse("mqtt://hub:s%20cret@broker:1884?version=5")
    assert (address.password, address.version, address.port) == ("s cret", 5, 1884)
    assert "cret" not in f"{address!r} {address}"


def test_ipv6_in_brackets() -> None:
    """The text of an address can be read again."""
    assert str(Address.parse("mqtt://[::1]:1884")) == "mqtt://[::1]:1884"
