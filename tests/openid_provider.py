"""A real OpenID provider for the tests: idpyoidc, by the authors of certified ones, on a port of its own.

It signs in whoever `OpenIdProvider.user` names. What a broken or hostile provider would answer instead, a
test puts into `faults`.
"""

from __future__ import annotations

import json
import threading
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "chitlaq", "a-secret-of-the-client"
KEYS = [{"type": "RSA", "use": ["sig"]}, {"type": "EC", "crv": "P-256", "use": ["sig"]}]
DISCOVERY, JWKS = "/.well-known/openid-configuration", "/static/jwks.json"
OP = "idpyoidc.server"
UNSPECIFIED = "urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified"

Fault = Callable[[bytes], bytes]


class OpenIdProvider:
    """A provider that listens.

    Args:
        port: where.
    """

    def __init__(self, port: int) -> None:
        from idpyoidc.server import Server
        from idpyoidc.server.configure import OPConfiguration

        self.issuer = f"http://127.0.0.1:{port}"
        self.user = "ada"
        self.people: dict[str, dict[str, Any]] = {}
        self.faults: dict[str, Fault] = {}
        self.asked: list[str] = []
        self.is_over = threading.Event()
        self._lock = threading.Lock()
        self._server = Server(OPConfiguration(_configuration(self.issuer), base_path=""))
        self._context = self._server.context
        self._context.userinfo.db = self.people
        self.rotate_keys()

    def register(self, redirect_uri: str) -> None:
        """Know the client by this address, too."""
        client = self._context.cdb.setdefault(
            CLIENT_ID,
            {
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "redirect_uris": [],
                "response_types_supported": ["code"],
                "allowed_scopes": ["openid", "profile", "email"],
                "scopes_to_claims": {
                    "openid": ["sub"],
                    "profile": ["name", "preferred_username", "locale", "realm_access", "ou"],
                    "email": ["email", "email_verified"],
                },
            },
        )
        client["redirect_uris"].append((redirect_uri, None))

    def rotate_keys(self) -> None:
        """Sign with a new key from now on, and publish it alone."""
        from cryptojwt.key_jar import build_keyjar

        fresh = build_keyjar(KEYS)[""]
        for name in ("", self.issuer):
            self._context.keyjar[name] = fresh

    def resigned(self, answer: bytes, header: Mapping[str, Any], **claims: Any) -> bytes:
        """An answer to a code whose ID token says something else, signed by the provider's own key.

        A claim that is None is left out.
        """
        tokens = json.loads(answer)
        changed = {**part(tokens["id_token"], 1), **claims}
        said = json.dumps({name: value for name, value in changed.items() if value is not None})
        return self.signed(answer, said.encode(), header)

    def signed(self, answer: bytes, payload: bytes, header: Mapping[str, Any] = {}) -> bytes:
        """An answer to a code whose ID token has these bytes, signed by the provider's own key."""
        (key,) = self._context.keyjar.get_signing_key("RSA", "")
        pem = key.private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        tokens = json.loads(answer)
        named = {**part(tokens["id_token"], 0), **header}
        tokens["id_token"] = jws.serialize_compact(named, payload, RSAKey.import_key(pem))
        return json.dumps(tokens).encode()

    def answered(
        self, method: str, target: str, headers: Mapping[str, str], body: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Answer as the library does: status, headers and body."""
        from cryptojwt.utils import b64e_enc_dec
        from idpyoidc.server.exception import OidcEndpointError

        parts = urlsplit(target)
        if parts.path == JWKS:
            return 200, {}, self._context.keyjar.export_jwks_as_json().encode()
        name = {DISCOVERY: "provider_config"}.get(parts.path, parts.path[1:])
        endpoint = self._server.get_endpoint(name)
        if endpoint is None:
            return 404, {}, b""
        query = dict(parse_qsl(parts.query if method == "GET" else body))
        query.pop("prompt", None)  # it has no page: whoever is asked again has typed their password
        http_info = {"headers": {key.lower(): value for key, value in headers.items()}}
        with self._lock:
            # As the library writes it itself: a bare name that happens to be base64 would be decoded.
            identity = b64e_enc_dec(json.dumps({"uid": self.user}))
            self._context.authn_broker["anon"]["method"].user = identity
            try:
                asked = endpoint.parse_request(query, http_info=http_info)
                if "error" in asked:
                    return 400, {}, asked.to_json().encode()
                found = endpoint.process_request(asked, http_info=http_info)
                made = endpoint.do_response(request=asked, **found)
            except (OidcEndpointError, KeyError) as error:
                return 401, {}, json.dumps({"error": repr(error)}).encode()
        if name == "authorization":
            return 302, {"Location": made["response"]}, b""
        return 200, {}, made["response"].encode()


def part(token: str, index: int) -> dict[str, Any]:
    """The header (0) or the claims (1) of a token, unverified."""
    text = token.split(".")[index]
    decoded: dict[str, Any] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return decoded


@contextmanager
def listening(port: int) -> Iterator[OpenIdProvider]:
    """A provider that answers until the end."""
    provider = OpenIdProvider(port)

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            path = urlsplit(self.path).path
            provider.asked.append(path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            status, headers, content = provider.answered(
                self.command, self.path, dict(self.headers), body
            )
            if path in provider.faults:
                content = provider.faults[path](content)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer  # noqa: N815 - the base class's names

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.is_over.set()
        server.shutdown()
        server.server_close()


def _configuration(issuer: str) -> dict[str, Any]:
    def endpoint(path: str, kind: str, **options: Any) -> dict[str, Any]:
        return {"path": path, "class": f"{OP}.oidc.{kind}", "kwargs": options}

    return {
        "issuer": issuer,
        "keys": {"uri_path": JWKS[1:], "key_defs": KEYS},
        "endpoint": {
            "provider_info": endpoint(
                DISCOVERY[1:], "provider_config.ProviderConfiguration", client_authn_method=None
            ),
            "authorization": endpoint(
                "authorization",
                "authorization.Authorization",
                client_authn_method=None,
                response_types_supported=["code"],
            ),
            "token": endpoint("token", "token.Token", client_authn_method=["client_secret_basic"]),
            "userinfo": endpoint("userinfo", "userinfo.UserInfo"),
            "session": endpoint(
                "end_session", "session.Session", post_logout_uri_path="/", signing_alg="RS256"
            ),
        },
        "add_ons": {
            "pkce": {
                "function": f"{OP}.oauth2.add_on.pkce.add_support",
                "kwargs": {"essential": True},
            }
        },
        "authentication": {
            "anon": {
                "acr": UNSPECIFIED,
                "class": f"{OP}.user_authn.user.NoAuthn",
                "kwargs": {"user": ""},
            }
        },
        "userinfo": {"class": f"{OP}.user_info.UserInfo", "kwargs": {"db": {}}},
        "token_handler_args": {
            "key_conf": {
                "key_defs": [
                    {"type": "OCT", "use": ["enc"], "kid": "code"},
                    {"type": "OCT", "use": ["enc"], "kid": "refresh"},
                ]
            },
            "code": {"kwargs": {"lifetime": 600}},
            "token": {"class": f"{OP}.token.jwt_token.JWTToken", "kwargs": {"lifetime": 3600}},
            "id_token": {
                "class": f"{OP}.token.id_token.IDToken",
                "kwargs": {"add_claims_by_scope": True},
            },
        },
        "session_params": {"password": "0123456789" * 4, "salt": "0123456789abcdef"},
    }
