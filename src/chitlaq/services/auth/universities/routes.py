"""Universities over HTTP, for operators."""

from __future__ import annotations

from litestar import get, post

from chitlaq.core.http.operators import FOR_OPERATORS
from chitlaq.services.auth.state import AuthState
from chitlaq.services.auth.universities import importing, universities
from chitlaq.services.auth.universities.schemas import Import, Imported, Universities


@get("/universities", **FOR_OPERATORS)
async def list_universities(state: AuthState) -> Universities:
    async with state.database.session() as session:
        return Universities(await universities.listed(session))


@post(
    "/universities/import",
    status_code=200,
    **FOR_OPERATORS,
)
async def import_universities(data: Import, state: AuthState) -> Imported:
    return await importing.imported(state.database, data.csv, apply=data.apply)
