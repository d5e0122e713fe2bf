"""A thin synchronous client of the gateway."""

import ssl
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import httpx

from eil_cli.endpoint import Endpoint

ERROR_INFO = "ErrorInfo"
BAD_REQUEST = "BadRequest"
NOT_REACHED = 0
"""`DoorError.status` where no answer came."""


class DoorError(Exception):
    """The door refused, or could not be reached.

    `status` is the HTTP status (NOT_REACHED if there was no answer), `reason` the stable UPPER_SNAKE reason, `violations` maps fields of
    the request to what is wrong with them.
    """

    def __init__(self, status: int, reason: str, message: str, violations: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message
        self.violations = dict(violations or {})


class Door:
    """The gateway's REST interface over one kept-alive connection. Not for several threads at once.

    Args:
        endpoint: of the mesh.
        token: bearer token; absent is the endpoint's administrator.
        timeout_s: longest wait for an answer.
        headers: others that every request carries, such as `traceparent`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        token: str | None = None,
        *,
        timeout_s: float = 30.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        verify: ssl.SSLContext | bool = True
        if endpoint.url.startswith("https:"):
            try:
                verify = ssl.create_default_context(cafile=endpoint.ca)
            except OSError as error:
                raise DoorError(
                    NOT_REACHED, "CA_MISSING", f"the mesh's certificate {endpoint.ca} cannot be read ({error})"
                ) from None
        self._client = httpx.Client(
            base_url=endpoint.url,
            headers={**(headers or {}), "authorization": f"Bearer {token or endpoint.admin_token}"},
            timeout=timeout_s,
            trust_env=False,
            verify=verify,
        )

    def post(self, path: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        """POST JSON; returns the HTTP status and the answer, whatever it is.

        Raises:
            DoorError: no answer came (reason UNREACHABLE).
        """
        return self._send("POST", path, body=body)

    def put(self, path: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        """PUT JSON; as `post`."""
        return self._send("PUT", path, body=body)

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """GET; as `post`."""
        return self._send("GET", path, params=params)

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, params: Mapping[str, Any] | None = None
    ) -> Any:
        """The answer of a call that succeeds.

        Raises:
            DoorError: it was refused, or no answer came.
        """
        status, answer = self._send(method, path, body=body, params=params)
        if status >= 400:
            raise refusal(status, answer)
        return answer

    def download(self, path: str, params: Mapping[str, Any] | None = None) -> bytes:
        """GET of what is no JSON, e.g. a picture, as it came.

        Raises:
            DoorError: it was refused, or no answer came.
        """
        response = self._request("GET", path, params=params)
        if response.status_code >= 400:
            raise refusal(response.status_code, _content(response))
        return response.content

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> "Door":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, method: str, path: str, **sent: Any) -> tuple[int, Any]:
        response = self._request(method, path, **sent)
        return response.status_code, _content(response)

    def _request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        began = time.monotonic()
        try:
            return self._client.request(method, path, json=body, params=params)
        except httpx.TimeoutException:
            waited_s = time.monotonic() - began
            raise DoorError(
                NOT_REACHED,
                "TIMEOUT",
                f"{method} {path} was not answered within {waited_s:.1f} s; it may still have been carried out: "
                "repeat it with the same request id",
            ) from None
        except httpx.TransportError as error:
            raise DoorError(
                NOT_REACHED,
                "UNREACHABLE",
                f"{self._client.base_url} does not answer ({error}); see `eil status`, start the mesh with `eil up --detach`",
            ) from None


def _content(response: httpx.Response) -> Any:
    """The answer's JSON; anything else is a message."""
    try:
        return response.json()
    except ValueError:
        return {"message": response.text.strip()}


def refusal(status: int, answer: Any) -> DoorError:
    """The error that a google.rpc.Status in JSON speaks of; anything else keeps its text and gets the reason HTTP_<status>."""
    reason, violations = f"HTTP_{status}", {}
    message = str(answer)
    if isinstance(answer, dict):
        message = str(answer.get("message") or answer)
        for detail in answer.get("details") or ():
            kind = str(detail.get("@type", "")).rpartition(".")[2]
            if kind == ERROR_INFO:
                reason = str(detail.get("reason") or reason)
            elif kind == BAD_REQUEST:
                for violation in detail.get("fieldViolations") or detail.get("field_violations") or ():
                    violations[str(violation.get("field", ""))] = str(violation.get("description", ""))
    return DoorError(status, reason, message, violations)
