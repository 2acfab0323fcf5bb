"""The bench of the collector: it runs, takes every message on both sides, and reports under the agreed names."""

import msgspec

from lab.bench.collect import collect


def test_a_small_run() -> None:
    """A run of a few hundred messages gives figures of both sides and says how they were measured."""
    result = msgspec.to_builtins(collect(messages=300, runs=1))
    assert list(result) == ["name", "value", "unit", "baseline", "baseline_name", "ratio", "details"]
    assert result["name"] == "collect"
    assert result["unit"] == "messages/s"
    assert min(result["value"], result["baseline"], result["ratio"]) > 0
    assert result["details"]["messages"] == 300
    assert result["details"]["broker"] in ("mosquitto", "built-in")
