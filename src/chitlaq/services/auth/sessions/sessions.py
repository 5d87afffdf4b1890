"""Sessions: signing in, staying signed in, signing out."""

from __future__ import annotations

import secrets
import time
from uuid import UUID

from joserfc import jwt
from joserfc.jwk import OKPKey

from chitlaq.core.data.postgres import Database
from chitlaq.core.http import problems
from chitlaq.core.http.identity import ALGORITHM, ISSUER, Identity
from chitlaq.core.http.limits import Limiter
from chitlaq.core.installation.settings import Tokens
from chitlaq.core.telemetry import logs
from chitlaq.services.auth import metrics
from chitlaq.services.auth.accounts import passwords
from chitlaq.services.auth.accounts.accounts import token_hash, user_of
from chitlaq.services.auth.schemas import Login, SessionItem, SignedIn, User

log = logs.get("sessions")


class Signer:
    """Makes access tokens with the installation's private key."""

    def __init__(self, private_key_pem: str) -> None:
        self._key = OKPKey.import_key(private_key_pem)
        self.key_id: str = self._key.thumbprint()
        self.public_jwk = {**self._key.as_dict(private=False), "kid": self.key_id, "use": "sig"}

    def sign(self, account: UUID, session: UUID, lifetime_seconds: int) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": str(account),
            "sid": str(session),
            "iat": now,
            "exp": now + lifetime_seconds,
        }
        header = {"alg": ALGORITHM, "kid": self.key_id}
        return jwt.encode(header, claims, self._key, algorithms=[ALGORITHM])


class Sessions:
    def __init__(
        self, database: Database, tokens: Tokens, signer: Signer, login_limit: Limiter
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._signer = signer
        self._login_limit = login_limit

    async def login(self, wanted: Login, user_agent: str, address: str | None) -> SignedIn:
        """Open a session for whoever knows the password.

        Raises:
            Problem: 401 for a wrong name or password (which of them is not said), 403 for an
                address that was not proved yet, 429 for too many attempts.
        """
        login = wanted.login.strip().lower()
        try:
            await self._login_limit.spend(login)
        except problems.Problem:
            metrics.AUTH_ATTEMPTS.labels("limited").inc()
            raise
        row = await self._database.row("account_by_login", login)
        password_hash = row["password_hash"] if row else None
        if not await passwords.matches(wanted.password, password_hash) or row is None:
            metrics.AUTH_ATTEMPTS.labels("failure").inc()
            log.info("login failed", address=address)
            raise problems.not_signed_in("The name or the password is wrong.")
        if row["verified_at"] is None:
            metrics.AUTH_ATTEMPTS.labels("unverified").inc()
            raise problems.forbidden(
                "This address is not confirmed yet: open the link in the mail that was sent to it,"
                " or ask for a new one at /api/auth/verify/resend."
            )
        if passwords.needs_rehash(row["password_hash"]):
            rehashed = await passwords.hashed(wanted.password)
            async with self._database.session() as session:
                await session.execute("set_password_hash", row["id"], rehashed)
        refresh_token = secrets.token_urlsafe(32)
        async with self._database.session() as session:
            session_id = await session.value(
                "insert_session",
                row["id"],
                token_hash(refresh_token),
                user_agent[:300],
                address,
                self._tokens.session_days,
            )
        metrics.AUTH_ATTEMPTS.labels("success").inc()
        log.info("logged in", account_id=row["id"], session_id=session_id, address=address)
        return self._signed_in(user_of(row), session_id, refresh_token)

    async def refresh(self, refresh_token: str) -> SignedIn:
        """Give new tokens for a refresh token, which is then used up.

        One that was used before is taken for stolen and ends the session, unless that was a moment
        ago: two tabs, or an answer that got lost.

        Raises:
            Problem: 401 for a token that is unknown, used up or past its time.
        """
        fresh = secrets.token_urlsafe(32)
        async with self._database.transaction() as session:
            row = await session.row("session_by_refresh", token_hash(refresh_token))
            is_stolen = row is not None and not row["is_current"] and not row["is_recent"]
            if row is not None and is_stolen:
                await session.execute("end_session", row["id"], row["account_id"])
            elif row is not None:
                await session.execute(
                    "rotate_session", row["id"], token_hash(fresh), self._tokens.session_days
                )
        if row is None or is_stolen:
            if row is not None:
                log.warning("refresh token used twice", session_id=row["id"])
            raise problems.not_signed_in("The refresh token is not valid: sign in again.")
        user = User(
            row["account_id"], row["username"], row["display_name"], row["email"],
            row["university"], verified=True,
        )  # fmt: skip
        return self._signed_in(user, row["id"], fresh)

    async def end(self, account_id: UUID, session_id: UUID) -> bool:
        """Sign a device out; says whether it was signed in."""
        async with self._database.session() as session:
            return await session.execute("end_session", session_id, account_id) > 0

    async def user(self, identity: Identity) -> User | None:
        """The account behind a token, or nothing when its session was ended."""
        row = await self._database.row("session_account", identity.session_id)
        return user_of(row) if row else None

    async def listed(self, identity: Identity) -> list[SessionItem]:
        rows = await self._database.rows("sessions_of_account", identity.account_id)
        return [SessionItem(**row, current=row["id"] == identity.session_id) for row in rows]

    def _signed_in(self, user: User, session_id: UUID, refresh_token: str) -> SignedIn:
        lifetime = self._tokens.access_seconds
        token = self._signer.sign(user.id, session_id, lifetime)
        return SignedIn(token, "Bearer", lifetime, refresh_token, user)
