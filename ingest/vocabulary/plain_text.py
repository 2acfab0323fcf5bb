"""
Text that others sent, made fit to show: in tables, in logs and in notifications.
"""

import re

# Controls of terminals, ends of lines, and what turns the direction of writing.
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]")


def visible(text: str) -> str:
    r"""
    Write control characters as escapes: a name moves no cursor and begins no line.

    >>> print(visible("Brug\x1b[2J\n\u202e"))
    Brug\x1b[2J\n\u202e
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def visible_lines(text: str) -> str:
    """Do it in each line of a text."""
    return "\n".join(map(visible, text.split("\n")))
