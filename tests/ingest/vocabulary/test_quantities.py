"""Units that suppliers state become the registry's, and a unit that leaves something open is refused."""

import pytest

from ingest.vocabulary.quantities import QUANTITIES, convert

EU = "at 20 degC and 1013.25 hPa"


@pytest.mark.parametrize(
    ("quantity", "unit", "expected"),
    [("o3", f"ppb {EU}", 1.995), ("no2", f"ppb {EU}", 1.913), ("no", f"ppb {EU}", 1.247), ("so2", f"ppb {EU}", 2.663),
     ("c6h6", f"ppb {EU}", 3.247), ("co", f"ppm {EU}", 1.164), ("o3", "ppb at 25 degC and 1013.25 hPa", 1.962)],
)  # fmt: skip
def test_share_of_volume_becomes_a_concentration(quantity: str, unit: str, expected: float) -> None:
    """The factors of the EU's reference conditions, as UK-AIR and the EEA print them within 0.2 %."""
    assert convert(1, unit, QUANTITIES[quantity]) == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize(
    "unit",
    ["ppb", "ppm", "61", "ppm at 20 degC", "ppb at warm degC and 1013 hPa", "ppb at 1.2.3 degC and 1013 hPa",
     "ppb at -273.15 degC and 1013 hPa", "ppb at 20 degC and 0 hPa"],
)  # fmt: skip
def test_share_of_volume_without_conditions_is_refused(unit: str) -> None:
    """The text says what to write."""
    with pytest.raises(ValueError, match=r"expected 'ug/m3'.*'ppb at 20 degC and 1013\.25 hPa'"):
        convert(1, unit, QUANTITIES["o3"])


def test_dust_and_batteries_have_no_share_of_volume() -> None:
    """A battery of 92 % is no 92 V, and dust has no ppm."""
    for quantity, unit in (("battery", "%"), ("pm25", f"ppm {EU}"), ("temperature", "%")):
        with pytest.raises(ValueError, match=f"of {quantity}, expected '[^']*' or one it converts from$"):
            convert(1, unit, QUANTITIES[quantity])


@pytest.mark.parametrize(
    ("quantity", "unit", "value", "expected"),
    [("temperature", "FAH", 50, 10), ("temperature", "KEL", 283.15, 10), ("pressure", "KPA", 101.3, 1013),
     ("vehicle_speed", "HM", 10, 16.09344), ("humidity", "C62", 0.5, 50), ("pm10", "GP", 0.02, 20),
     ("co", "GQ", 300, 0.3), ("battery", "VLT", 3.6, 3.6), ("water_level", "MMT", 1500, 1.5)],
)  # fmt: skip
def test_codes_of_units_are_read(quantity: str, unit: str, value: float, expected: float) -> None:
    """UN/CEFACT's codes, as FIWARE's `unitCode` has them."""
    assert convert(value, unit, QUANTITIES[quantity]) == pytest.approx(expected)
