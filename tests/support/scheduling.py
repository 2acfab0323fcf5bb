"""Which tests of one run stay together in one process: those that share what takes long to make."""

from functools import cache

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.conftest import ROOT

_SHARES = ('scope="module"', "pytestmark = pytest.mark.kafka", "\n@cache\n")


class ByServer(LoadScopeScheduling):  # type: ignore[misc]
    """Tests of a module that keeps what it made stay together; any other test goes to whoever has nothing to do."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if _shares(file) else nodeid


@cache
def _shares(file: str) -> bool:
    text = (ROOT / file).read_text("utf-8")
    return any(sign in text for sign in _SHARES)
