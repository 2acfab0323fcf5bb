"""
The codes of Dutch areas: GM + 4, WK + 6, BU + 8 positions, which are not always digits; a code holds its parents'.

Everything about areas uses these words; source: the key of the tables "Kerncijfers wijken en buurten".
"""

import re
from typing import Literal

Level = Literal["gemeente", "wijk", "buurt"]
BASE_MAP = "base-map.geojson.gz"  # its name in a data directory
_CODE = re.compile(r"GM\d{4}|WK\d{4}[0-9A-Z]{2}|BU\d{4}[0-9A-Z]{4}")
_LEVELS: dict[str, Level] = {"GM": "gemeente", "WK": "wijk", "BU": "buurt"}


def is_code(text: str) -> bool:
    """
    Whether a text is the code of a gemeente, wijk or buurt.

    >>> is_code("WK0363TB"), is_code("NL00"), is_code("BU00141908"), is_code("WK00141908")
    (True, False, True, False)
    """
    return _CODE.fullmatch(text) is not None


def level_of(code: str) -> Level:
    """
    Return the kind of area that a code names.

    >>> level_of("WK001400")
    'wijk'
    """
    return _LEVELS[code[:2]]


def municipality_of(code: str) -> str:
    """
    Return the code of the gemeente that an area lies in.

    >>> municipality_of("BU00141908")
    'GM0014'
    """
    return "GM" + code[2:6]


def wijk_of(code: str) -> str:
    """
    Return the code of the wijk that a buurt lies in.

    >>> wijk_of("BU00141908")
    'WK001419'
    """
    return "WK" + code[2:8]
