"""
The settings of a process: flags over the environment over `stadspuls.toml` (working directory, then data directory).

`load` makes `hub.settings.settings.Settings` of these layers, once for each command; `sources_of` gives for
`stadspuls doctor` the layer of each value, and `shown` the values without secrets. A layer gives for each key its value
and its origin.
"""

import os
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hub.settings.settings import Settings
from hub.settings.values import masked
from ingest.vocabulary.values import BadFile, raised_as, read_toml

PREFIX = "STADSPULS_"
FILE = "stadspuls.toml"
# Values that never stand in a message: secrets, and URLs that may have one.
_SECRETS = {key for key, one in Settings.model_fields.items() if not one.repr or "SecretStr" in str(one.annotation)}
_OPTIONAL = {key for key, one in Settings.model_fields.items() if one.default is None}

Layer = dict[str, tuple[Any, str]]


class BadSettings(ValueError):  # noqa: N818 - the reaction is the name: the user corrects the settings
    """Settings that cannot work: a line per error, each with the key, what is wrong and its origin."""


def load(flags: Mapping[str, Any] | None = None, directory: Path | None = None) -> Settings:
    """
    Read the settings; `flags` are those of the command line (None: not given), `directory` the working directory.

    Raises BadSettings for anything that cannot work, also for a key of a file that does not exist.
    """
    keys, here = Settings.model_fields.keys(), directory or Path()
    given = {key: (value, "flag") for key, value in (flags or {}).items() if value is not None}
    names = {key: PREFIX + key.upper() for key in keys}
    spoken = {key: (os.environ[name], f"environment {name}") for key, name in names.items() if os.environ.get(name)}
    found = read_layer(here / FILE, keys) | spoken | given
    data_dir, origin = found.get("data_dir", (Settings.model_fields["data_dir"].default, ""))
    home = _directory_of(origin) / Path(data_dir).expanduser()
    if home.absolute() != here.absolute():
        found = read_layer(home / FILE, keys - {"data_dir"}) | found
    return _make(found)


def read_layer(path: Path, keys: Set[str]) -> Layer:
    """Read a file, nothing where there is none; raises BadSettings, also for a key that is not among `keys`."""
    with raised_as(BadSettings, BadFile):
        values = read_toml(path, dict[str, Any]) if path.exists() else {}
    wrong = [f"{key}: no such setting here (from {path})" for key in values if key not in keys]
    if wrong:
        raise BadSettings("\n".join(wrong))
    return {key: (value, str(path)) for key, value in values.items()}


def sources_of(settings: Settings) -> dict[str, str]:
    """Give for each key the origin of its value: flag, environment, a file, or default."""
    return {key: settings._origins.get(key, "default") for key in Settings.model_fields}


def shown(settings: Settings) -> dict[str, str]:
    """Give each key's value as text, passwords masked."""
    return {key: masked(getattr(settings, key)) for key in Settings.model_fields}


def _directory_of(origin: str) -> Path:
    """Give the directory from which relative paths of this origin are read."""
    return Path(origin).parent if origin.endswith(FILE) else Path()


def _make(found: Layer) -> Settings:
    directories = {key: _directory_of(origin) for key, (_, origin) in found.items()}
    # An empty text is no value, where there may be none.
    values = {key: None if value == "" and key in _OPTIONAL else value for key, (value, _) in found.items()}
    try:
        settings = Settings.model_validate(values, context=directories)
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
