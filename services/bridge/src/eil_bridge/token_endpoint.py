"""POST /v1/token: a service account's id and secret become a short-lived token (OAuth 2.0 client credentials, RFC 6749 §4.4).

What fetches tokens by itself, as Prometheus' `oauth2` and the OpenTelemetry Collector's `oauth2client` do, needs nothing but the address.
The key that signs is in the state folder of the embedded profile; elsewhere tokens come from an OpenID provider.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote_plus

import structlog
from eil_mesh.accounts import Account, Accounts
from eil_mesh.errors import EilError, InvalidArgument, Unauthenticated
from eil_mesh.signing import sign_token
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from eil_bridge.replies import HTTP_STATUS, Unimplemented, body, request_id_of

log = structlog.get_logger("eil.tokens")
LIFE_S = 15 * 60
"""Life of a token [s]; an account that is removed is good for as long at most."""
NEVER_KEPT = {"cache-control": "no-store", "pragma": "no-cache"}
OAUTH_NAMES = {
    "CLIENT_UNKNOWN": "invalid_client",
    "GRANT_UNSUPPORTED": "unsupported_grant_type",
    "SCOPE_NOT_ALLOWED": "invalid_scope",
    "NO_TOKENS_HERE": "server_error",
}
"""Our reasons in OAuth's words; any other is `invalid_request`."""


class Tokens:
    """The endpoint.

    Args:
        keys: folder of the signing key and of the accounts.
        now_s: the clock [s since 1970].
    """

    def __init__(self, keys: Path, now_s: Callable[[], float]) -> None:
        self._keys, self._now_s = keys, now_s

    async def answer(self, request: Request) -> Response:
        """A token, or an error in OAuth's form and in ours at once."""
        try:
            return JSONResponse(self._granted(request, await request.body()), headers=NEVER_KEPT)
        except EilError as error:
            return _refusal(error, request)

    def _granted(self, request: Request, content: bytes) -> Mapping[str, object]:
        signing = self._keys / "signing.pem"
        if not signing.exists():
            raise Unimplemented(
                "this mesh has no key of its own to sign tokens with; get them from the OpenID provider that it trusts",
                reason="NO_TOKENS_HERE",
            )
        form = _form(request, content)
        account = self._account(request, form)
        if form.get("grant_type") != "client_credentials":
            raise InvalidArgument(
                "the one grant here is grant_type=client_credentials; people get tokens with `eil token`",
                reason="GRANT_UNSUPPORTED",
            )
        wanted = form.get("scope", "").split() or list(account.roles)
        if not set(wanted) <= set(account.roles):
            raise InvalidArgument(
                f"the scope may name roles of the account, {' '.join(account.roles)}; leave it out to get all of them",
                reason="SCOPE_NOT_ALLOWED",
            )
        token = sign_token(
            signing,
            subject=account.name,
            roles=wanted,
            tenant=account.tenant,
            ttl_s=LIFE_S,
            now_s=self._now_s(),
        )
        log.info("token issued", account=account.name, tenant=account.tenant, roles=wanted)
        return {"access_token": token, "token_type": "Bearer", "expires_in": LIFE_S, "scope": " ".join(wanted)}

    def _account(self, request: Request, form: Mapping[str, str]) -> Account:
        header = request.headers.get("authorization", "")
        if header and ("client_id" in form or "client_secret" in form):
            raise InvalidArgument("the client's id and secret come in the header or in the body, not in both")
        name, secret = _basic(header) if header else (form.get("client_id", ""), form.get("client_secret", ""))
        account = Accounts.read(self._keys).known(name, secret)
        if account is None:
            log.warning("token refused", account=name[:64])
            raise Unauthenticated(
                "nobody here has this client id and secret; see `eil account list`, get a new secret with `eil account rotate`",
                reason="CLIENT_UNKNOWN",
            )
        return account


def _form(request: Request, content: bytes) -> dict[str, str]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise InvalidArgument("send a form: content-type application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl(content.decode(), keep_blank_values=True, max_num_fields=16)
    except ValueError:
        raise InvalidArgument("the form is not readable, or has more than 16 fields") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise InvalidArgument("a field of the form comes twice; send each once")
    return form


def _basic(header: str) -> tuple[str, str]:
    """Id and secret of an Authorization header; each is encoded as in a form (RFC 6749 §2.3.1)."""
    scheme, _, coded = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        name, colon, secret = base64.b64decode(coded.strip(), validate=True).decode().partition(":")
        if not colon:
            raise ValueError
    except (ValueError, binascii.Error):
        raise Unauthenticated(
            "the authorization header must be `Basic`, of id and secret", reason="CLIENT_UNKNOWN"
        ) from None
    return unquote_plus(name), unquote_plus(secret)


def _refusal(error: EilError, request: Request) -> Response:
    headers = dict(NEVER_KEPT)
    if error.code == "UNAUTHENTICATED":
        headers["www-authenticate"] = 'Basic realm="eil"'
    oauth = {"error": OAUTH_NAMES.get(error.reason, "invalid_request"), "error_description": error.message}
    return JSONResponse(
        {**body(error, request_id_of(request)), **oauth}, status_code=HTTP_STATUS[error.code], headers=headers
    )
