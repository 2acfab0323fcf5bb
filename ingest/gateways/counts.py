"""
What a gateway's job did since the process began, for metrics and log lines.

The job's thread writes, `hub.run.gateways` reads: single additions to a dict, which Python does not tear.
"""

from collections import Counter


class Counts:
    """
    Events by name and kind, and the stamps of what came last (seconds since 1970, 0: never).

    Names: `requests` (kind: outcome), `turns` (good, failed), `messages`, `known`, `odd`, `form_changes`, `gaps`, and
    what a gateway adds.
    """

    def __init__(self, job: str) -> None:
        self.job = job
        self.events: Counter[tuple[str, str]] = Counter()
        self.succeeded = 0.0
        self.newest = 0.0
        self.failures = 0  # turns in a row

    def add(self, name: str, kind: str = "", number: int = 1) -> None:
        """Count something."""
        self.events[name, kind] += number

    def total(self, name: str) -> int:
        """Give how often something happened, of any kind."""
        return sum(number for (known, _), number in list(self.events.items()) if known == name)
