"""Air-quality indices: the bands of the file, and the rule that makes an 11."""

import pytest

from tests.support.indices import index_of_hour


@pytest.mark.parametrize(
    ("means", "expected"),
    [({"no2": 10.0}, 1), ({"no2": 10.1}, 2), ({"pm25": 250.0}, 10), ({"o3": 201.0, "no2": 151.0}, 11), ({}, None),
     ({"o3": None, "pm10": 46.0}, 5), ({"o3": 61.0, "no2": 46.0, "pm10": 46.0}, 6)],
)  # fmt: skip
def test_index_of_an_hour(means: dict[str, float | None], expected: int | None) -> None:
    """Bounds belong to the lower index; all alike is one more."""
    assert index_of_hour("lki", means) == expected
