"""Universities over HTTP, for operators."""

from __future__ import annotations

from litestar import get, post

from chitlaq.core.http.operators import operator
from chitlaq.services.auth.state import AuthState
from chitlaq.services.auth.universities import importing, universities
from chitlaq.services.auth.universities.schemas import Import, Imported, Universities


@get("/universities", guards=[operator], include_in_schema=False, is_for_operators=True)
async def list_universities(state: AuthState) -> Universities:
    async with state.database.session() as session:
        return Universities(await universities.listed(session))


@post(
    "/universities/import",
    status_code=200,
    guards=[operator],
    include_in_schema=False,
    is_for_operators=True,
)
async def import_universities(data: Import, state: AuthState) -> Imported:
    return await importing.imported(state.database, data.csv, apply=data.apply)
