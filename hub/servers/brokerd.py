"""
The built-in broker's own process: `python -m hub.servers.brokerd CONFIG` serves until it is stopped.

`hub.servers.broker` writes the configuration and starts it. Nothing else belongs here: it outlives the hub.
"""

import logging
import sys

from iotcore.iotcore import IotCoreBroker


def main() -> None:
    """Serve with the rumqttd configuration named on the command line."""
    # rumqttd logs every message at level error; even dropping those lines late costs two thirds of its speed.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL + 1)
    IotCoreBroker(config_path=sys.argv[1]).run_forever()


if __name__ == "__main__":
    main()
