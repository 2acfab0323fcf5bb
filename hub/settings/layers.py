"""
The settings of a process: flags over the environment over `stadspuls.toml` (working directory, then data directory).

`load` makes `hub.settings.settings.Settings` of these layers, once for each command; `sources_of` gives for
`stadspuls doctor` the layer of each value, and `shown` the values without secrets. A layer gives for each key its value
and its origin.
"""

import os
import tomllib
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from hub.settings.settings import Settings
from hub.settings.values import masked

PREFIX = "STADSPULS_"
FILE = "stadspuls.toml"
# Values that never stand in a message.
_SECRETS = {"broker", "broker_password", "database", "kafka_password", "api_token", "grafana_token", "grafana_database"}

Layer = dict[str, tuple[Any, str]]


class BadSettings(ValueError):  # noqa: N818 - the reaction is the name: the user corrects the settings
    """Settings that cannot work: a line per error, each with the key, what is wrong and its origin."""


def load(flags: Mapping[str, Any] | None = None, directory: Path | None = None) -> Settings:
    """
    Read the settings; `flags` are those of the command line (None: not given), `directory` the working directory.

    Raises BadSettings for anything that cannot work, also for a key of a file that does not exist.
    """
    keys, file = set(Settings.model_fields), (directory or Path()) / FILE
    layers = [
        {key: (value, "flag") for key, value in (flags or {}).items() if value is not None},
        {
            key: (os.environ[name], f"environment {name}")
            for key in keys
            if os.environ.get(name := PREFIX + key.upper())
        },
        read_layer(file, keys),
    ]
    data_dir, _ = merged(layers).get("data_dir", (Settings.model_fields["data_dir"].default, ""))
    own = Path(data_dir).expanduser() / FILE
    if own.absolute() != file.absolute():
        layers.append(read_layer(own, keys - {"data_dir"}))
    return _make(merged(layers))


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


def _beside(path: Path, key: str, value: Any) -> Any:
    """Resolve the relative paths of a file from the directory of the file."""
    annotation = Settings.model_fields[key].annotation
    kinds = (annotation, *get_args(annotation))  # Path, Path | None, or tuple[Path, ...]
    parent = path.absolute().parent
    if Path in kinds and isinstance(value, list):
        return [parent / Path(str(one)).expanduser() for one in value]
    if Path in kinds and Ellipsis not in kinds and isinstance(value, str) and value:
        return parent / Path(value).expanduser()
    return value


def merged(layers: Sequence[Layer]) -> Layer:
    """Give each key as the first layer has it that has it at all."""
    return {key: found for layer in reversed(layers) for key, found in layer.items()}


def sources_of(settings: Settings) -> dict[str, str]:
    """Give for each key the origin of its value: flag, environment, a file, or default."""
    return {key: settings._origins.get(key, "default") for key in Settings.model_fields}


def shown(settings: Settings) -> dict[str, str]:
    """Give each key's value as text, passwords masked."""
    return {key: masked(getattr(settings, key)) for key in Settings.model_fields}


def _make(found: Layer) -> Settings:
    try:
        settings = Settings(**{key: value for key, (value, _) in found.items()})
    except ValidationError as error:
        raise BadSettings("\n".join(_line(one, found) for one in error.errors())) from None
    settings._origins = {key: origin for key, (_, origin) in found.items()}
    return settings


def _line(error: Any, found: Layer) -> str:
    reason = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return str(reason)
    key = str(error["loc"][0])
    value = "" if key in _SECRETS else f", found {error['input']!r}"
    return f"{key}: {reason[:1].lower()}{reason[1:]}{value} (from {found.get(key, ('', 'default'))[1]})"
