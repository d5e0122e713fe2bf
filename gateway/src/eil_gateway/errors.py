"""What the door itself answers when it refuses: google.rpc.Status, in JSON for REST and in trailers for gRPC, as the services answer."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from eil_mesh.errors import DOMAIN
from eil_mesh.status import DETAILS_KEY, RETRY_KEY
from eil_mesh.stream_end import CAME_AS_REST
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2

from eil_gateway.xds import Json, typed


@dataclass(frozen=True, slots=True)
class Reply:
    """One refusal. `detail` narrows it to Envoy's response code details that contain it."""

    http: int
    grpc: int
    reason: str
    message: str
    detail: str = ""
    retry_after_s: int = 0
    """When to try again [s]; 0 where waiting does not help."""
    answer: int = 0
    """HTTP status that is answered, where it is another than the one that Envoy chose."""

    @property
    def status(self) -> int:
        """HTTP status of the answer."""
        return self.answer or self.http


INVALID = "the token is not valid (%LOCAL_REPLY_BODY%); get one with `eil token`"
REPLIES: Sequence[Reply] = (
    Reply(400, 3, "MALFORMED_REQUEST", "the request is malformed: %LOCAL_REPLY_BODY%; mend it and send it again"),
    Reply(
        401,
        16,
        "TOKEN_MISSING",
        "this needs a token: send `Authorization: Bearer TOKEN`; get one with `eil token`",
        detail="Jwt_is_missing",
    ),
    Reply(401, 16, "TOKEN_EXPIRED", "the token has expired; get a new one with `eil token`", detail="Jwt_is_expired"),
    Reply(
        401,
        14,
        "ISSUER_UNREACHABLE",
        "the keys of the token's issuer could not be fetched yet; try again in a few seconds",
        detail="Jwks_remote_fetch_is_failed",
        retry_after_s=5,
        answer=503,
    ),
    Reply(401, 16, "TOKEN_INVALID", INVALID),
    Reply(403, 16, "TOKEN_INVALID", INVALID, detail="Audiences_in_Jwt", answer=401),
    Reply(
        403,
        3,
        "NO_UPGRADE_HERE",
        "this path takes no upgrade of the connection; the WebSocket is at /v1/stream",
        detail="upgrade_failed",
    ),
    Reply(
        403,
        7,
        "ORIGIN_NOT_ALLOWED",
        "pages of this origin may not open streams; if they shall, start the mesh with `eil up --cors-origin ORIGIN`",
        detail="[foreign-origin]",
    ),
    Reply(
        403,
        7,
        "ROLE_NOT_ALLOWED",
        "this token's roles do not allow it; if any role does, get a token with it: `eil token --role ROLE`",
    ),
    Reply(
        404,
        12,
        "NO_SUCH_PATH",
        "there is nothing at %REQ(:METHOD)% %PATH(NQ:ORIG_OR_PATH)%; look the path up in the description of the API",
    ),
    Reply(408, 4, "REQUEST_TIMEOUT", "the request did not arrive in time; send it faster"),
    Reply(
        413,
        8,
        "BODY_TOO_LARGE",
        "the body is over what is taken here (1 MiB, telemetry of other protocols 16 MiB); send less at once, or send it by gRPC, "
        "which takes more",
    ),
    Reply(
        429,
        8,
        "TOO_MANY_REQUESTS",
        "the door is flooded; nothing was done; wait a second and try again",
        retry_after_s=1,
    ),
    Reply(431, 8, "HEADERS_TOO_LARGE", "the headers are over 32 KiB, or more than 100; send fewer"),
    Reply(
        503,
        14,
        "SERVICE_UNAVAILABLE",
        "the service does not answer now; wait a second and try again",
        retry_after_s=1,
    ),
    Reply(
        504,
        4,
        "DEADLINE_EXCEEDED",
        "the service took too long; what it stored stays stored; send it again with the same request id",
    ),
)


def _status(code: int | str, reason: str, message: str, retry_after_s: int = 0) -> Json:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": DOMAIN,
        "metadata": {"request_id": "%STREAM_ID%"},
    }
    details: list[Json] = [info]
    if retry_after_s:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retry_delay": f"{retry_after_s}s"})
    return {"json_format": {"code": code, "message": message, "details": details}, "omit_empty_values": True}


def _rich_status(reply: Reply) -> str:
    """The status with its reason for gRPC clients, encoded as a binary header."""
    status = status_pb2.Status(code=reply.grpc, message=reply.message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reply.reason, domain=DOMAIN))
    if reply.retry_after_s:
        delay = duration_pb2.Duration(seconds=reply.retry_after_s)
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return base64.b64encode(status.SerializeToString()).decode()


def _set(key: str, value: str) -> Json:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _applies(reply: Reply) -> list[Json]:
    value = {"default_value": reply.http, "runtime_key": f"door.replies.{reply.http}"}
    filters: list[Json] = [{"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}]
    if reply.detail:
        cel = typed(
            "extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            expression=f"response.code_details.contains('{reply.detail}')",
        )
        filters.append(
            {"extension_filter": {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": cel}}
        )
    return filters


def _header(name: str, **match: object) -> Json:
    return {"header_filter": {"header": {"name": name, **match}}}


def _mappers(reply: Reply) -> list[Json]:
    grpc = _header("content-type", string_match={"prefix": "application/grpc"})
    native = _header(CAME_AS_REST, present_match=True, invert_match=True)
    applies = _applies(reply)
    retry = [_set(RETRY_KEY, str(reply.retry_after_s))] if reply.retry_after_s else []
    headers = [_set("grpc-status", str(reply.grpc)), *retry]
    if "%" not in reply.message:  # the rich status must repeat the message, and it is fixed here
        headers.append(_set(DETAILS_KEY, _rich_status(reply)))
    return [
        {
            "filter": {"and_filter": {"filters": [*applies, grpc, native]}},
            "headers_to_add": headers,
            "body_format_override": {"text_format_source": {"inline_string": reply.message}},
        },
        {
            "filter": applies[0] if len(applies) == 1 else {"and_filter": {"filters": applies}},
            "headers_to_add": retry,
            "body_format_override": _status(reply.grpc, reply.reason, reply.message, reply.retry_after_s),
            **({"status_code": reply.answer} if reply.answer else {}),
        },
    ]


def local_replies() -> Json:
    """`local_reply_config`: the first reply that applies, else a general one."""
    return {
        "mappers": [mapper for reply in REPLIES for mapper in _mappers(reply)],
        "body_format": _status(2, "HTTP_%RESPONSE_CODE%", "HTTP %RESPONSE_CODE%: %LOCAL_REPLY_BODY%"),
    }
