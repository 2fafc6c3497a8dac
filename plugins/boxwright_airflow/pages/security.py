"""Access by Airflow's own permissions, and protection against changes requested by other sites.

The functions of Airflow that check rights are not part of its public interface: they are imported here only. Airflow
takes a browser's log-in from a cookie, which another site's form would carry too. So a change asks for two things
that such a form cannot have: headers of a request from the same origin, and a token that a page was given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlsplit

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.configuration import conf
from fastapi import Depends, Form, Header, HTTPException, Request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from boxwright.config import PIPELINE

TOKEN_SECONDS = 8 * 3600
TOKEN_FIELD = "token"  # name of the form's field  # noqa: S105 - a name
TOKEN_HEADER = "X-Boxwright-Token"  # where there is no form  # noqa: S105 - a name

# What a route asks for: `dependencies=[READ]` for a page, `dependencies=[CHANGE, SAME_ORIGIN]` for what changes things.
READ = Depends(requires_access_dag("GET", param_dag_id=PIPELINE))
READ_RUN = Depends(requires_access_dag("GET", DagAccessEntity.RUN))  # of the `dag_id` that the request names
READ_XCOM = Depends(requires_access_dag("GET", DagAccessEntity.XCOM))
READ_LOGS = Depends(requires_access_dag("GET", DagAccessEntity.TASK_LOGS))
_MAY_CHANGE = requires_access_dag("PUT", param_dag_id=PIPELINE)
CHANGE = Depends(_MAY_CHANGE)
_MAY_CHANGE_RUN = requires_access_dag("PUT")  # of the `dag_id` that the request names
CHANGE_RUN = Depends(_MAY_CHANGE_RUN)
_MAY_START = requires_access_dag("POST", DagAccessEntity.RUN, param_dag_id=PIPELINE)
START = Depends(_MAY_START)


def check_address(request: Request) -> None:
    """Refuses an address with a NUL in its path, which no database takes in a text.

    Raises:
        HTTPException: 422.
    """
    if "\0" in request.scope["path"]:
        raise HTTPException(422, "this address has a NUL in it, which nothing here is named with")


def csrf_token(user: GetUserDep) -> str:
    """A token for the forms of a page, for this user and a working day."""
    return str(_serializer().dumps(user.get_id()))


def _is_allowed(check: Callable[[Request, Any], None]) -> Any:
    """Whether a page offers something to its user; what they may do is checked again when they do it."""

    def is_allowed(request: Request, user: GetUserDep) -> bool:
        try:
            check(request, user)
        except HTTPException:
            return False
        return True

    return Depends(is_allowed)


MayChange = Annotated[bool, _is_allowed(_MAY_CHANGE)]
MayChangeRun = Annotated[bool, _is_allowed(_MAY_CHANGE_RUN)]
MayStart = Annotated[bool, _is_allowed(_MAY_START)]


def same_origin(
    request: Request,
    user: GetUserDep,
    form_token: Annotated[str | None, Form(alias=TOKEN_FIELD)] = None,
    header_token: Annotated[str | None, Header(alias=TOKEN_HEADER)] = None,
) -> None:
    """Refuses a change that no page of ours asked for.

    Raises:
        HTTPException: 403, saying what is missing.
    """
    check_same_origin(request, user, form_token or header_token)


def same_origin_header(
    request: Request, user: GetUserDep, header_token: Annotated[str | None, Header(alias=TOKEN_HEADER)] = None
) -> None:
    """`same_origin` for a body that is not a form: the token comes as the header `X-Boxwright-Token`."""
    check_same_origin(request, user, header_token)


def check_same_origin(request: Request, user: Any, token: str | None) -> None:
    """The check of `same_origin`, with a token from any source."""
    if not _is_of_this_origin(request):
        raise HTTPException(403, "this change was requested by another site; open the page in Airflow and try again")
    try:
        named = _serializer().loads(token or "", max_age=TOKEN_SECONDS)
    except BadSignature:
        raise HTTPException(403, "this page has been open for too long; load it again, then try again") from None
    if named != user.get_id():
        raise HTTPException(403, "this page was opened by another user; load it again, then try again")


SAME_ORIGIN = Depends(same_origin)
SAME_ORIGIN_HEADER = Depends(same_origin_header)


def _is_of_this_origin(request: Request) -> bool:
    """Browsers send one of the two headers with every POST, and no page can set them."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host")


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(conf.get_mandatory_value("api", "secret_key"), salt="boxwright-pages")


def user_name(user: GetUserDep) -> str:
    """The name of the user, for the log."""
    return str(user.get_name())
