"""
Layers of settings: what a file says, and which layer counts; `hub.settings.settings` makes a model of them.

A layer gives for each key its value and where that was said.
"""

import tomllib
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

FILE = "stadspuls.toml"
_PATHS = ("data_dir", "slots_dir", "kafka_ca", "kafka_certificate", "kafka_key", "alert_channels")
_LISTS_OF_PATHS = ("mappings", "rules", "calendars")

Layer = dict[str, tuple[Any, str]]


class BadSettings(ValueError):  # noqa: N818 - the reaction is the name: the user mends the settings
    """Settings that cannot work: a line per error, each with the key, what is wrong and where it was said."""


def read_layer(path: Path, keys: Set[str]) -> Layer:
    """Read a file, nothing where there is none; raises BadSettings, also for a key that is not among `keys`."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BadSettings(f"{path}: {error}") from error
    wrong = [f"{key}: no such setting here (from {path})" for key in values if key not in keys]
    if wrong:
        raise BadSettings("\n".join(wrong))
    return {key: (_beside(path, key, value), str(path)) for key, value in values.items()}


def merged(layers: Sequence[Layer]) -> Layer:
    """Give each key as the first layer has it that has it at all."""
    return {key: found for layer in reversed(layers) for key, found in layer.items()}


def _beside(path: Path, key: str, value: Any) -> Any:
    """Read paths of a file from where the file is."""
    if key in _PATHS and isinstance(value, str) and value:
        return path.absolute().parent / Path(value).expanduser()
    if key in _LISTS_OF_PATHS and isinstance(value, list):
        return [path.absolute().parent / Path(str(one)).expanduser() for one in value]
    return value
