"""Pages of lists: `page_size` (default 100) and an opaque `page_token`."""

from typing import Protocol

from eil_mesh.errors import InvalidArgument

DEFAULT_PAGE = 100
NEWEST = 2**62
"""Greater than every sequence number."""


class PagedRequest(Protocol):
    """A request with the two fields of a page."""

    page_size: int
    page_token: str


def page_of(request: PagedRequest) -> tuple[int, str]:
    """Rows wanted and the token of where to go on, "" for the beginning."""
    return request.page_size or DEFAULT_PAGE, request.page_token


def newest_page_of(request: PagedRequest) -> tuple[int, int]:
    """For lists by falling sequence number: rows wanted, and the number that they must lie below.

    Raises:
        InvalidArgument: the token is none that such a page ended with.
    """
    size, token = page_of(request)
    if not token:
        return size, NEWEST
    if not (token.isascii() and token.isdecimal() and len(token) <= 18):
        raise InvalidArgument(
            f"{token!r} is no page token; send `next_page_token` of the page before, or none to begin anew",
            violations={"page_token": "is not a token that a page gave"},
        )
    return size, int(token)
