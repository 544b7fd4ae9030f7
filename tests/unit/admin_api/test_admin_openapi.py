from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from admin_api.app import create_app
from admin_api.problems import ProblemType
from admin_api.write_openapi import openapi_text
from ratchet.domain.errors import InvalidSettings
from ratchet.settings import load_settings

PROJECT = Path(__file__).parents[3]
URLS = {
    "database_url": "postgresql://nobody@127.0.0.1:1/nothing",
    "amqp_url": "amqp://127.0.0.1:1/",
    "redis_url": "redis://127.0.0.1:1/0",
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """Made without any server: nothing is opened before the app's lifespan begins."""
    document = create_app(load_settings(**URLS, jwt_secret="a-secret-that-is-long-enough-for-this")).openapi()
    assert document["openapi"].startswith("3.1")
    return document


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def test_the_app_refuses_to_be_built_when_it_could_not_check_tokens() -> None:
    with pytest.raises(InvalidSettings, match="RATCHET_JWT_SECRET"):
        create_app(load_settings(**URLS, jwt_secret=None, jwt_jwks_url=None))


def test_every_operation_has_an_id_of_its_own_and_is_described(document: dict[str, Any]) -> None:
    operations = list(_operations(document))
    assert max(Counter(operation["operationId"] for operation in operations).values()) == 1
    assert all(operation["summary"] and operation["description"] for operation in operations)


def test_every_operation_needs_a_bearer_token_and_says_what_else_may_come(document: dict[str, Any]) -> None:
    for operation in _operations(document):
        assert operation["security"] == [{"bearer": []}]
        assert {"401", "500", "503"} <= operation["responses"].keys()


def test_every_error_is_a_problem_and_nothing_else(document: dict[str, Any]) -> None:
    for operation in _operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], operation["operationId"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from (value for key, value in node.items() if key == "$ref")
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    schemas = document["components"]["schemas"]
    assert {name.rsplit("/", 1)[-1] for name in references(document)} <= schemas.keys()


def test_every_post_offers_an_idempotency_key(document: dict[str, Any]) -> None:
    for path in document["paths"].values():
        if "post" in path:
            assert "Idempotency-Key" in [parameter["name"] for parameter in path["post"]["parameters"]]


def test_every_kind_of_problem_has_a_slug_of_its_own() -> None:
    slugs = [kind.slug for kind in ProblemType]
    assert len(set(slugs)) == len(slugs)


def test_the_committed_document_is_the_one_that_is_served() -> None:
    committed = (PROJECT / "docs" / "openapi.json").read_text()
    if committed != openapi_text():
        pytest.fail("The routes have changed: python -m admin_api.write_openapi > docs/openapi.json")
