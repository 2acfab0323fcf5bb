"""Fixtures for every room's tests: where the recorded data lie, and the payload formats loaded."""

import gc
import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from aggregates.store.store import Store
from ingest.formats import decode as decoding
from ingest.formats.registry import load_formats
from ingest.vocabulary import sources
from lab.rig.database import DatabaseServer, KillablePostgres, KillableTimescale, installation, running_database
from lab.rig.kafka import KafkaServer
from tests.support.databases import TIMESCALE, fresh_database, shared_server, timescale_url
from tests.support.distributed import kafka_server
from tests.support.examples import up_to

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests" / "cases"
DOORS = ROOT / "tests" / "hub"
DATABASES = ("postgres", "timescale")

# Each checkout has a folder of its own: pytest closes the parent of its folders to others when it begins, and with it
# the data of every PostgreSQL that another run of root has started there for the system user.
SCRATCH = Path(tempfile.gettempdir()) / f"stadspuls-tests-{hashlib.sha256(bytes(ROOT)).hexdigest()[:8]}"
SCRATCH.mkdir(exist_ok=True)
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(SCRATCH))

# A Kafka that lives for some tests starts in half the processor time without the second compiler.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")

gc.disable()  # until all tests are collected

# It breaks the Kafka log of whatever process imports it, as a search for doctests does.
collect_ignore = ["support/careless"]


# No test asserts a time, and neither does Hypothesis of its examples: machines are busy.
settings.register_profile("stadspuls", deadline=None, max_examples=up_to(100))
settings.load_profile("stadspuls")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Make slow ones of tests on a second database, which ask there what others ask.

    Where there is a TimescaleDB half of all tests run on it, always the same, and half on PostgreSQL. Long ones, and
    those of commands, API and page, run on PostgreSQL. Slow tests run in `make test-all`. Long ones begin, so that none
    is left at the end.
    """
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    for item in items:
        is_second = item.get_closest_marker("timescale") is not None
        if not (item.get_closest_marker("long") or DOORS in item.path.parents):
            one = getattr(getattr(item, "callspec", None), "params", {}).get("database")
            chosen = zlib.crc32(item.nodeid.replace(str(one), "").encode()) % 2
            is_second = TIMESCALE in os.environ and one in DATABASES and DATABASES.index(one) != chosen
        if is_second:
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of every later search for garbage."""
    gc.enable()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Start each module's servers in one process."""
    from tests.support.scheduling import ByServer  # which needs pytest-xdist

    return ByServer(config, log)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded data beside the project; the test skips, saying why, where it is absent."""
    folder = Path(os.environ.get("STADSPULS_TEST_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no recorded data at {folder}: set STADSPULS_TEST_SHARED_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def shared_cases(shared_data: Path) -> Path:
    """The folder of field cases beside the recorded data; the test skips where it is absent."""
    folder = shared_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"no field cases at {folder}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _payload_formats() -> None:
    """Every shipped payload format is loaded, as in the collector."""
    load_formats()


@pytest.fixture
def registries() -> Iterator[None]:
    """What a test registers, formats and sources, is forgotten after it."""
    formats, known = dict(decoding.FORMATS), dict(sources._sources)
    yield
    for one, was in ((decoding.FORMATS, formats), (sources._sources, known)):
        one.clear()
        one.update(was)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an embedded PostgreSQL that lives as long as the tests."""
    with shared_server(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(scope="session")
def running_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """One Kafka for all tests that do not ask for another."""
    with kafka_server(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture
def kafka(running_kafka: KafkaServer) -> KafkaServer:
    """A Kafka that runs, also after a test that killed it; each test takes topics of its own."""
    if running_kafka.pid is None:
        running_kafka.start()
    return running_kafka


@pytest.fixture(params=["postgres", pytest.param("timescale", marks=pytest.mark.timescale)])
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty, migrated database: on the embedded PostgreSQL, and on a TimescaleDB where one is named."""
    server = request.getfixturevalue("postgres") if request.param == "postgres" else timescale_url()
    with fresh_database(server) as url:
        yield url


@pytest.fixture(params=["postgres", pytest.param("timescale", marks=pytest.mark.timescale)])
def killable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseServer]:
    """A database server of the test's own: the embedded one, and TimescaleDB where its programs are."""
    if request.param == "postgres":
        server: DatabaseServer = KillablePostgres(tmp_path / "server")
    else:
        if (found := installation()) is None:
            pytest.skip(
                "no programs of TimescaleDB: set STADSPULS_TIMESCALE_ROOT to the root of a Debian that has them"
            )
        server = KillableTimescale(found)
    with running_database(server):
        yield server


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """A connection to `database`."""
    made = Store(database)
    yield made
    made.close()
