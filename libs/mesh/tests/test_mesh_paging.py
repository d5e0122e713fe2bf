"""Pages of lists."""

import pytest
from eil.decision.v1 import decision_pb2
from eil_mesh.errors import InvalidArgument
from eil_mesh.paging import DEFAULT_PAGE, NEWEST, newest_page_of


def test_the_first_page_begins_at_the_newest():
    assert newest_page_of(decision_pb2.ListDecisionsRequest()) == (DEFAULT_PAGE, NEWEST)
    assert newest_page_of(decision_pb2.ListDecisionsRequest(page_size=7, page_token="42")) == (7, 42)


@pytest.mark.parametrize("token", ["-1", "x", "1.5", "٣", "9" * 19, " 1"])
def test_a_token_that_no_page_gave_is_refused(token):
    with pytest.raises(InvalidArgument, match="no page token"):
        newest_page_of(decision_pb2.ListDecisionsRequest(page_token=token))
