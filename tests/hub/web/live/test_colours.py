"""Every palette of the page can be told apart by the colour-blind, checked by simulation; no data is never a colour."""

import re
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hub.web.live.known import classes
from hub.web.live.mount import OWN
from ingest.vocabulary.quantities import QUANTITIES

STYLE = (OWN / "style.css").read_text("utf-8")
# Machado, Oliveira, Fernandes (2009), severity 1: what is seen of linear red, green and blue.
SEEN_BY = {
    "everybody": np.eye(3),
    "protanope": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranope": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanope": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
# Ottosson's Oklab: from linear RGB to cones, and from their cube roots to lightness and two axes of colour.
CONES = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
         [0.0883024619, 0.2817188376, 0.6299787005]]  # fmt: skip
LAB = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
       [0.0259040371, 0.7827717662, -0.8086757660]]  # fmt: skip
APART = 0.04  # in Oklab: twice what is just seen side by side
Colours = NDArray[np.float64]


def variables(prefix: str) -> list[str]:
    """The colours of the style sheet whose variables are a prefix and a number, in order."""
    found = dict(re.findall(rf"--({prefix}\d): (#[0-9a-f]{{6}});", STYLE))
    return [found[name] for name in sorted(found)]


PALETTES = {"counts": variables("k"), "usual": variables("d")} | {
    name: scheme["colours"] for name, scheme in classes()["schemes"].items()
}


def linear(colours: list[str]) -> Colours:
    """Colours as linear red, green and blue."""
    rgb = np.array([[int(one[at : at + 2], 16) / 255 for at in (1, 3, 5)] for one in colours])
    found: Colours = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return found


def seen(colours: list[str], eyes: str) -> Colours:
    """Where colours lie for somebody, in Oklab."""
    received = np.clip(linear(colours) @ np.array(SEEN_BY[eyes]).T, 0, 1)
    found: Colours = np.cbrt(received @ np.array(CONES).T) @ np.array(LAB).T
    return found


def luminance(colours: list[str]) -> Colours:
    """Relative luminance, as WCAG has it."""
    found: Colours = linear(colours) @ np.array([0.2126, 0.7152, 0.0722])
    return found


@pytest.mark.parametrize("eyes", SEEN_BY)
@pytest.mark.parametrize("name", PALETTES)
def test_classes_are_told_apart(name: str, eyes: str) -> None:
    """No two classes of a palette look alike, whoever looks."""
    places = seen(PALETTES[name], eyes)
    alike = [
        (PALETTES[name][one], PALETTES[name][other])
        for one, other in combinations(range(len(places)), 2)
        if np.linalg.norm(places[one] - places[other]) < APART
    ]
    assert alike == []


@pytest.mark.parametrize("eyes", SEEN_BY)
def test_steps_of_counts_are_ordered(eyes: str) -> None:
    """More is darker, for everybody; so the palette is read without its legend, and in grey."""
    assert all(one > other for one, other in pairwise(seen(PALETTES["counts"], eyes)[:, 0]))


def test_the_simulation_confuses_what_the_colour_blind_confuse() -> None:
    """Red and green of one lightness differ for most, and are alike for a deuteranope: else it would prove nothing."""
    pair = ["#c05000", "#6b7d00"]
    usual, blind = (np.linalg.norm(np.subtract(*seen(pair, eyes))) for eyes in ("everybody", "deuteranope"))
    assert usual > 3 * APART
    assert blind < usual / 3


def test_lines_stand_out_by_day_and_night() -> None:
    """A line has three times the contrast to a light and to a dark panel (WCAG 1.4.11); symbols tell lines apart."""
    light, dark = (luminance([ground])[0] for ground in re.findall(r"--panel: (#[0-9a-f]{6})", STYLE))
    lines = luminance(variables("line"))
    assert len(lines) == 6
    assert min((light + 0.05) / (lines + 0.05)) >= 3
    assert min((lines + 0.05) / (dark + 0.05)) >= 3


def test_no_data_is_never_a_colour() -> None:
    """What has no value is hatched or empty with a dashed edge: its rules name no colour of a class."""
    rules: list[Any] = re.findall(r"([^{}]*\.(?:missing|failed|nothing|unjudged)[^{}]*)\{([^}]*)\}", STYLE)
    assert any("url(#hatch-spot)" in body for _, body in rules)
    assert [body for _, body in rules if re.search(r"--[kdcs]\d", body)] == []


def test_data_colours_are_the_same_at_night() -> None:
    """The dark theme changes no colour of data."""
    dark = STYLE.partition(':root[data-theme="dark"]')[2].partition("}")[0]
    assert "--ground" in dark
    assert re.findall(r"--(?:[kdcs]|line)\d:", dark) == []


def test_every_quantity_has_fixed_classes() -> None:
    """Six, whatever scheme is chosen: pictures of the morning and of the evening can be compared."""
    fixed = classes()["fixed"]
    assert fixed.keys() == QUANTITIES.keys()
    assert {len(edges) for edges in fixed.values()} == {5}
    assert [name for name, edges in fixed.items() if edges != sorted(set(edges))] == []
