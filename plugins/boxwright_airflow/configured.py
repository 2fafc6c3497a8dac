"""Airflow's settings as JSON, empty where unset: `python -m boxwright_airflow.configured SECTION.KEY ...`."""

from __future__ import annotations

import json
import logging
import sys


def main() -> None:
    """Prints the settings that the arguments name."""
    logging.disable(logging.CRITICAL)
    from airflow.configuration import conf

    print(json.dumps({name: str(conf.get(*name.split(".", 1), fallback="") or "") for name in sys.argv[1:]}))


if __name__ == "__main__":
    main()
