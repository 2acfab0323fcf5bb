"""Every command, for tests that run some of them in their own process."""

from hub.cli.main import load

app = load()
