"""What requests without a query are given."""

from flask import Flask

from api.parsing import OrjsonParser
from api.schemas.foreseen import RequestQuery


def test_what_a_view_changes_in_its_query_is_not_there_in_the_next_request() -> None:
    parser, schema = OrjsonParser(), RequestQuery()
    with Flask("parsing").test_request_context("/"):
        for _ in range(2):
            query = parser.parse(schema, location="query")
            assert query == {"dry_run": False}
            query["dry_run"] = True
