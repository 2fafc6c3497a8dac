"""Airflow's roles in the stack, through its api-server: what each may do is what `docs/security.md` says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest

from boxwright.airflow_api.trigger import DAG_ID
from boxwright.stack.environment import ADMIN

if TYPE_CHECKING:
    from live.conftest import LiveStack

ROLES = ("viewer", "user", "op", "admin")
API, PAGES = "/api/v2", "/boxwright"
DAG = f"{API}/dags/{DAG_ID}"
# What is asked, the least role that may, and a request that changes nothing where it is let through.
ASKED: dict[str, tuple[str, str, str, Any]] = {
    "look at runs": ("viewer", "GET", f"{DAG}/dagRuns", None),
    "look at Boxwright's pages": ("viewer", "GET", f"{PAGES}/models", None),
    "try a model": ("viewer", "GET", f"{PAGES}/try/no-model/1", None),
    "read a pool": ("viewer", "GET", f"{API}/pools/gpu", None),
    "trigger a run": ("user", "POST", f"{DAG}/dagRuns", {"logical_date": None, "conf": {"epochs": 0}}),
    "clear tasks": ("user", "POST", f"{DAG}/clearTaskInstances", {"dag_run_id": "no-run"}),
    "pause the DAG": ("user", "PATCH", DAG, {"is_paused": "perhaps"}),
    "create a backfill": ("user", "POST", f"{API}/backfills", {"dag_id": DAG_ID}),
    "stop a training": ("user", "GET", f"{PAGES}/runs/{DAG_ID}/no-run/stop", None),
    "start a run again": ("user", "GET", f"{PAGES}/runs/{DAG_ID}/no-run/again", None),
    "approve a model": (
        "user",
        "PATCH",
        f"{DAG}/dagRuns/no-run/taskInstances/approve/-1/hitlDetails",
        {"chosen_options": ["Approve"]},
    ),
    "promote a version": ("user", "GET", f"{PAGES}/models/no-model/1/promote", None),
    "announce data": ("op", "POST", f"{API}/assets/events", {"asset_id": 0}),
    "read a Variable": ("op", "GET", f"{API}/variables/no-variable", None),
    "change a Variable": ("op", "PATCH", f"{API}/variables/no-variable", {"key": "no-variable", "value": "x"}),
    "change a pool": ("op", "PATCH", f"{API}/pools/no-pool", {"slots": 2}),
    "read a connection": ("op", "GET", f"{API}/connections/no-connection", None),
}


@pytest.fixture(scope="module")
def tokens(stack: LiveStack) -> dict[str, str]:
    """A log-in of each role: the administrator's token, with the role in it changed."""
    login = {"username": ADMIN, "password": stack.stack.password}
    found = httpx.post(f"{stack.stack.airflow_url}/auth/token", json=login, trust_env=False).json()["access_token"]
    claims = jwt.decode(found, options={"verify_signature": False})
    secret, header = stack.stack.secrets["jwt_secret"], jwt.get_unverified_header(found)
    made = (claims | {"sub": f"a-{role}", "role": role, "jti": role} for role in ROLES)
    return {one["role"]: jwt.encode(one, secret, header["alg"], headers=header) for one in made}


@pytest.mark.parametrize("what", ASKED)
def test_a_role_may_do_what_the_docs_say(stack: LiveStack, tokens: dict[str, str], what: str) -> None:
    least, method, path, body = ASKED[what]
    stack.airflow.wait_for_dag(DAG_ID)
    answers = {
        role: httpx.request(
            method, f"{stack.stack.airflow_url}{path}", json=body, cookies={"_token": token}, timeout=60,
            headers={"Authorization": f"Bearer {token}"}, trust_env=False, follow_redirects=False,
        ).status_code
        for role, token in tokens.items()
    }  # fmt: skip
    assert 401 not in answers.values()
    assert [role for role, status in answers.items() if status != 403] == list(ROLES[ROLES.index(least) :]), answers
