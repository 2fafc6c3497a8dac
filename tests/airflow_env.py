"""Import this before airflow: gives this process an Airflow of its own, with this repository's DAGs and plugins.

The settings go into a file and not the environment, so that servers which other tests start do not inherit them.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
DAGS, PLUGINS = REPOSITORY / "dags", REPOSITORY / "plugins"
HOME = Path(tempfile.mkdtemp(prefix="boxwright-airflow-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

CONFIG = f"""
[core]
dags_folder = {DAGS}
plugins_folder = {PLUGINS}
load_examples = False
[database]
sql_alchemy_conn = sqlite:///{HOME / "airflow.db"}
[logging]
base_log_folder = {HOME / "logs"}
"""


def _load() -> None:
    assert "airflow" not in sys.modules, "import airflow_env before airflow"
    (HOME / "airflow.cfg").write_text(CONFIG)
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
        del os.environ[name]
    os.environ["AIRFLOW_HOME"] = str(HOME)
    try:
        import airflow.configuration
        import airflow.settings  # noqa: F401
    finally:
        os.environ.clear()
        os.environ.update(before)


def loaded_by_parsing(dag_id: str, names: Iterable[str]) -> list[str]:
    """Those of the modules `names` that a process has loaded when it has parsed a DAG file."""
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "import airflow_env, runpy\n"
        f"runpy.run_path(str(airflow_env.DAGS / '{dag_id}.py'))\n"
        f"print(*[name for name in {list(names)} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(REPOSITORY / "tests")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1].split()


for _folder in (REPOSITORY, PLUGINS):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))
_load()
