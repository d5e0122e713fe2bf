"""Pages of lists: `page_size` (default 100) and an opaque `page_token`."""

from typing import Protocol

DEFAULT_PAGE = 100


class PagedRequest(Protocol):
    """A request with the two fields of a page."""

    page_size: int
    page_token: str


def page_of(request: PagedRequest) -> tuple[int, str]:
    """Rows wanted and the token of where to go on, "" for the beginning."""
    return request.page_size or DEFAULT_PAGE, request.page_token
