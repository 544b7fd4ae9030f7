"""Prints the OpenAPI document, for docs/openapi.json: `python -m admin_api.write_openapi > docs/openapi.json`."""

import json
import sys

from ratchet.settings import load_settings

from admin_api.app import create_app

# Nothing is connected to: the document is made from the routes alone.
NOWHERE = {
    "database_url": "postgresql://127.0.0.1:1/nothing",
    "amqp_url": "amqp://127.0.0.1:1/",
    "redis_url": "redis://127.0.0.1:1/",
    "jwt_secret": "no token is ever checked by this one",
}


def openapi_text() -> str:
    """The document as it lies in docs/openapi.json."""
    return json.dumps(create_app(load_settings(**NOWHERE)).openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(openapi_text())
