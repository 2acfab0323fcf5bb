"""FROST's Python client, which others wrote, finds Things, expands, filters by time and value, and reads pages."""

import frost_sta_client  # type: ignore[import-untyped]
import pytest

from tests.support.apis import HOURS

# The client uses what furl calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:furl.pathstr:DeprecationWarning")


@pytest.fixture
def service(address: str) -> frost_sta_client.SensorThingsService:
    """The client."""
    return frost_sta_client.SensorThingsService(f"{address}/sta/v1.1")


def test_things_with_their_datastreams(service: frost_sta_client.SensorThingsService) -> None:
    """Expanded in one answer."""
    things = service.things().query().filter("properties/sensor_id eq 'stadspuls/a'").expand("Datastreams").list()
    (thing,) = things.entities
    assert thing.name == "stadspuls/a"
    assert [one.properties["level"] for one in thing.datastreams] == ["raw", "1h", "1d"]


def test_observations_by_time_and_value(service: frost_sta_client.SensorThingsService) -> None:
    """A filter of both, and pages of a few until there is no more."""
    query = service.datastreams().query()
    (stream,) = query.filter("properties/sensor_id eq 'stadspuls/a' and properties/level eq '1h'").list().entities
    asked = stream.get_observations().query().filter("phenomenonTime lt 2024-06-03T12:00:00Z and result gt 15")
    assert [one.result for one in asked.list()] == [16.04, 17.04, 18.04, 19.04, 20.04, 21.04]
    month = "phenomenonTime ge 2024-06-01T00:00:00Z and phenomenonTime lt 2024-07-01T00:00:00Z"
    assert len(list(stream.get_observations().query().filter(month).top(9).list())) == HOURS
