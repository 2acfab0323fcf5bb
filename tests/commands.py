"""Every command, for tests that run some of them in their own process."""

from hub.cli import load

app = load()
