"""What the points owe, and what branches owe each other for them."""

from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Controller, Request, Response, get
from litestar.params import QueryParameter

from api.access.permissions import Principal
from api.reports import report_answer
from errors import InvalidInput
from loyalty.liability import Liability, liability
from loyalty.settlement import Settlement, settlement

Since = Annotated[datetime, QueryParameter(description="From when, by posting; with an offset.")]
Until = Annotated[datetime | None, QueryParameter(description="Until when, not included; now, if none.")]


class StatementController(Controller):
    path = "/v1"
    tags = ("loyalty",)
    opt = {"permission": "ledger:read"}

    @get(
        "/liability",
        summary="Points outstanding by age and expiry, and what moved in a period",
        description="opening + issued - redeemed - expired + adjusted = closing, by the time of posting: what is closed stays closed.",
    )
    async def liability(
        self, request: Request[Principal, Any, Any], since: Since, until: Until = None
    ) -> Response[Liability]:
        now = datetime.now(UTC)
        start, end = _aware("since", since), _aware("until", until or now)

        async def read() -> Liability:
            return await liability(since=start, until=end, now=now)

        return await report_answer(request, read)

    @get(
        "/settlement",
        summary="Which store issued what which store redeemed",
        description="At cost, for a period of posting; all stores sum to zero. The store without a code is headquarters.",
    )
    async def settlement(
        self, request: Request[Principal, Any, Any], since: Since, until: Until = None
    ) -> Response[Settlement]:
        start, end = _aware("since", since), _aware("until", until or datetime.now(UTC))

        async def read() -> Settlement:
            return await settlement(since=start, until=end)

        return await report_answer(request, read)


def _aware(field: str, moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise InvalidInput(field=field, why="needs an offset, such as 2026-03-01T00:00:00+08:00")
    return moment
