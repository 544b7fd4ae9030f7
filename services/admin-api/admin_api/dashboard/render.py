"""Templates, and how values look on pages."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape

HERE = Path(__file__).parent
STATIC = HERE / "static"


def render(template: str, **context: Any) -> str:
    """A template with everything in it escaped."""
    return _environment().get_template(template).render(**context)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "instant": instant,
        "moment": moment,
        "duration": duration,
        "pretty": pretty,
        "bars": bars,
        "number": number,
        "status_class": status_class,
        "schema_name": schema_name,
        "marked": marked,
    }
    environment.globals |= {"asset": asset, "link": link}
    return environment


def asset(name: str) -> str:
    """The address of a static file; it changes with the content, so browsers may keep it."""
    return f"/static/{name}?v={_digest(name)}"


@cache
def _digest(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def link(path: str, query: dict[str, Any] | None = None, **changes: Any) -> str:
    """A path with a query; changes that are None take a parameter out."""
    # What a template does not know counts as empty, like the API's null.
    given = {name: value for name, value in ((query or {}) | changes).items() if value is not None and f"{value}"}
    return f"{path}?{urlencode(given)}" if given else path


def instant(value: str | None) -> datetime | None:
    """The API's text as a point in time."""
    return None if value is None else datetime.fromisoformat(value).astimezone(UTC)


def moment(value: str | None) -> str:
    """A point in time in words that need no script: the page's script adds how long ago that is."""
    at = instant(value)
    return "—" if at is None else at.strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(began: str | None, ended: str | None) -> str:
    """How long something took."""
    first, last = instant(began), instant(ended)
    if first is None or last is None:
        return ""
    seconds = max(0.0, (last - first).total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def pretty(value: Any) -> str:
    """JSON for reading."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)


def number(value: int | None) -> str:
    """A count with its thousands apart."""
    return "—" if value is None else f"{value:,}".replace(",", "\u202f")


def bars(trend: Sequence[int], height: int = 20) -> list[tuple[int, int]]:
    """A bar's top and height for each value, for a drawing `height` units high."""
    highest = max([*trend, 1])
    heights = [0 if value == 0 else max(2, round(value / highest * height)) for value in trend]
    return [(height - tall, tall) for tall in heights]


def marked(text: str) -> Markup:
    """Plain text with what stands in backticks as code."""
    parts = [escape(part) for part in text.split("`")]
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else part for index, part in enumerate(parts)
    )


def schema_name(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(schema_name(part) for part in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {schema_name(schema.get('items', {}))}"
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    kind = str(schema.get("type", "any"))
    return f"{kind} ({schema['format']})" if "format" in schema else kind


def status_class(status: str | None) -> str:
    """The style of a status or outcome."""
    return _CLASSES.get(status or "", "quiet")


_CLASSES = {
    "Failed": "bad",
    "failed": "bad",
    "relapsed": "bad",
    "refused": "bad",
    "stopped": "bad",
    "Completed": "good",
    "verified": "good",
    "completed": "good",
    "done": "good",
    "succeeded": "good",
    "Executing": "busy",
    "InProgress": "busy",
    "running": "busy",
    "resumed": "busy",
    "requested": "busy",
    "current": "busy",
    "started": "busy",
    "Paused": "held",
    "skipped": "held",
}
