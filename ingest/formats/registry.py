"""
Loads every payload format: the modules of `ingest.formats.coded`, the mapping files in `ingest/formats/mappings`, and
the user's own.

The collector and the command line call `load_formats` once, before the first message; calling it again changes nothing.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path

import structlog

import ingest.formats.coded
from ingest.formats.decode import FORMATS
from ingest.formats.mapping_reader import MappedFormat
from ingest.formats.mapping_schema import load
from ingest.vocabulary.values import BadFile

SHIPPED = Path(__file__).with_name("mappings")
_loaded: dict[str, Path] = {}
_log = structlog.get_logger("ingest.formats")


def load_formats(mapping_dirs: Sequence[Path] = ()) -> None:
    """
    Register every payload format; a user's file takes the place of the shipped mapping with the same name.

    Raises BadFile, naming file, key and reason, for a file that cannot work, for two user's files with one name, and
    for a name that is a format with code.
    """
    for module in pkgutil.iter_modules(ingest.formats.coded.__path__):
        importlib.import_module(f"ingest.formats.coded.{module.name}")
    for path in _chosen(mapping_dirs):
        if _loaded.get(path.stem) == path:
            continue
        if path.stem in FORMATS:
            raise BadFile(f"{path}: source {path.stem!r} has a payload format already")
        spec = load(path)
        if taken := spec.unstated():
            _log.warning("no unit in a mapping file, the registry's is taken", file=path.name, quantities=taken)
        FORMATS[path.stem] = MappedFormat(path.stem, spec)
        _loaded[path.stem] = path


def _chosen(mapping_dirs: Sequence[Path]) -> list[Path]:
    own: dict[str, Path] = {}
    for path in (path for folder in mapping_dirs for path in sorted(folder.glob("*.toml"))):
        if own.setdefault(path.stem, path) != path:
            raise BadFile(f"{path}: a second file for source {path.stem!r}, beside {own[path.stem]}")
    shipped = {path.stem: path for path in sorted(SHIPPED.glob("*.toml")) if _loaded.get(path.stem, path) == path}
    return [*(shipped | own).values()]
