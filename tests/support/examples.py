"""How many examples Hypothesis tries: all of them in `make test-all`, a third in `make test`, each time others."""

import os

THOROUGH = "STADSPULS_TEST_THOROUGH"


def up_to(number: int) -> int:
    """Give a number of examples."""
    return number if os.environ.get(THOROUGH) else max(number // 3, 4)
