"""Workbooks in LibreOffice: what it reads of dates, numbers, units and words is what the CSV of the same rows says."""

import csv
import io
import shutil
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest

from aggregates.ask.dates import BadQuestion
from aggregates.export.forms import write, write_file

# A comma between, quotes, UTF-8, from the first row on, no formats of columns, no language, quotes where needed, all
# digits of numbers, dates as shown, no formulas, blanks kept, every sheet.
_CSV = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1"
SPRING, AUTUMN = datetime(2024, 3, 31, 0, 30, tzinfo=UTC), datetime(2024, 10, 27, 0, 0, 1, tzinfo=UTC)
ROWS: dict[str, Any] = {
    "sensor_id": pa.array(["ndw/a", "=1+1", 'weg, "zuid"\nenzo']),
    "unit": pa.array(["ug/m3"] * 3),
    "start": pa.array([SPRING, AUTUMN, datetime(1999, 12, 31, 23, tzinfo=UTC)], pa.timestamp("us", "UTC")),
    "value": pa.array([0.1 + 0.2, -12345678.987654321, None]),
    "coverage": pa.array([1.0, 1 / 3, None]),
    "readings": pa.array([60, 0, 2**40]),
    "valid": pa.array([True, False, True]),
    "date": pa.array([date(2024, 3, 31), date(2024, 10, 27), date(2000, 1, 1)]),
    "members": pa.array([["a", "b"], [], ["é"]]),
}
HEADER = (
    "sensor_id unit start_(UTC) start_(Europe/Amsterdam) value_(ug/m3) coverage_(0_to_1) readings valid date members"
)


def office(path: Path, into: Path) -> list[list[str]]:
    """Have LibreOffice convert the sheet `data` of a workbook to CSV, with a profile of its own; give its cells."""
    program = shutil.which("soffice")
    if program is None:
        pytest.skip("no program soffice, expected LibreOffice Calc")
    profile = f"-env:UserInstallation={(into / 'profile').as_uri()}"
    words = [program, profile, "--headless", "--convert-to", _CSV, "--outdir", str(into), str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found = into / f"{path.stem}-data.csv"
    assert found.exists(), done.stdout + done.stderr
    with found.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.slow
def test_libreoffice_reads_what_the_csv_says(tmp_path: Path) -> None:
    """Stamps in UTC and local time, also where clocks change, dates, 15 digits of numbers, words, text as it is."""
    for form in ("xlsx", "csv"):
        write_file(tmp_path / f"rows.{form}", form, [pa.table(ROWS)], dict)
    header, *found = office(tmp_path / "rows.xlsx", tmp_path)
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        _, *plain = csv.reader(file)
    assert header == [name.replace("_(", " (").replace("0_to_1", "0 to 1") for name in HEADER.split()]
    assert [row[3] for row in found] == ["2024-03-31 01:30:00", "2024-10-27 02:00:01", "2000-01-01 00:00:00"]
    for row, (name, unit, start, value, coverage, readings, valid, *rest) in zip(found, plain, strict=True):
        assert row[:3] == [name.removeprefix("'"), unit, start.replace("T", " ").removesuffix("Z")]
        assert row[4:8] == [
            *(number and f"{float(number):.15g}" for number in (value, coverage)),
            readings,
            valid.upper(),
        ]
        assert row[8:] == rest


def test_workbook_takes_bytes_that_are_no_text() -> None:
    """The payload of a dead letter may be anything: a cell has it as the CSV has it, in base64."""
    table, out = pa.table({"payload": pa.array([None, b"\xff\x00x"])}), io.BytesIO()
    write("xlsx", [table], out)
    sheet = openpyxl.load_workbook(out)["data"]
    assert [cell.value for cell in sheet["A"]] == ["payload", None, "/wB4"]


def test_workbook_refuses_what_a_cell_cannot_hold() -> None:
    """32,767 characters are written whole; of one more the column and the row are named, and what to do."""
    longest, out = "x" * 32_767, io.BytesIO()
    write("xlsx", [pa.table({"sensors": ["1"], "members": [longest]})], out)
    assert openpyxl.load_workbook(out)["data"]["B2"].value == longest
    tables = [pa.table({"sensors": ["1"], "members": [text]}) for text in ("short", longest + "x")]
    with pytest.raises(BadQuestion, match=r"members of row 2 is longer than .*, expected another form"):
        write("xlsx", tables, io.BytesIO())
