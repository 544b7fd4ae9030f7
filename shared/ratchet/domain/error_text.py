"""What an error says of itself, without the values that were in somebody's state or input; never raises."""

from typing import Any

_MEMBERS = 3
"""So many members of a group are told; they are mostly alike."""


def read(holder: Any, name: str) -> Any:
    """An attribute of a foreign object; None where it has none or fails to say."""
    try:
        return getattr(holder, name, None)
    except BaseException:  # a property of a foreign class may raise what it likes, SystemExit included
        return None


def text_of(error: BaseException) -> str:
    """The error's own text; that it could not be read, where saying it fails."""
    try:
        return _without_values(error)
    except BaseException as problem:  # `__str__` is foreign code and may raise anything at all
        return f"(its text could not be read: {type(problem).__name__})"


def _without_values(error: BaseException) -> str:
    # Validators put the value that did not fit into their text, and a value is what no reason may hold.
    modules = {str(kind.__module__).partition(".")[0] for kind in type(error).__mro__}
    if modules & {"pydantic", "pydantic_core"} and callable(read(error, "errors")):
        return _of_pydantic(error)
    if "jsonschema" in modules and isinstance(read(error, "validator"), str):
        return f"{read(error, 'json_path') or '$'}: does not fit {read(error, 'validator')!r} of its schema"
    if isinstance(error, BaseExceptionGroup):
        told = "; ".join(f"{type(member).__name__}: {text_of(member)}" for member in error.exceptions[:_MEMBERS])
        more = len(error.exceptions) - _MEMBERS
        return f"{error.message}: {told}" + (f"; and {more} more" if more > 0 else "")
    return str(error)


def _of_pydantic(error: Any) -> str:
    problems = [
        f"{'.'.join(map(_place, item['loc'])) or 'the value'}: {_TOLD.get(item['type'], item['msg'])}"
        for item in error.errors(include_input=False, include_url=False, include_context=False)
    ]
    return f"{error.title}: {'; '.join(problems)}"


# Messages that hold the value itself.
_TOLD = {
    "union_tag_invalid": "Input tag does not match any of the expected tags",
    "json_invalid": "Invalid JSON",
}


def _place(part: object) -> str:
    # A field has a name that can be written in code; a key of a mapping may be anything, and is somebody's value.
    return str(part) if isinstance(part, int) or (isinstance(part, str) and part.isidentifier()) else "[key]"
