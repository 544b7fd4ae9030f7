"""Failures are alike if they differ in ids only: ids of any make are taken out, codes and statuses stay in."""

from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

# A number right behind one of these words says what went wrong. A status before its phrase is given such a word.
_CODE = (
    r"(?<!\m(answers|answered|answer|status|statuscode|status_code|code|errno|error|errors|exit|signal|sqlstate|http|"
    r"returned|reason|rc|winerror|ora|state)[^[:alnum:]]{1,3}"
)
_NAMES = r"(?!(utf|sha|md|base|int|uint|float|ipv|http|tls|oauth|python|log|x)[0-9]{1,3}(_64)?\M)"

_CLOCK = r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"

_STEPS = (
    # What is found, what stands for it, flags; in this order.
    (r"\m([1-5][0-9]{2})(?= [A-Z][a-z]+)", r"HTTP \1", "g"),
    (r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", "<id>", "gi"),
    (r"\m[0-9]{4}-[0-9]{2}-[0-9]{2}" + _CLOCK, "<time>", "g"),
    (
        r"\m[0-9]{1,3}(\.[0-9]{1,3}){3}\M(:[0-9]+)?|\[?([0-9a-f]{0,4}:){2,7}[0-9a-f]{1,4}\M\]?(:[0-9]+)?",
        "<address>",
        "gi",
    ),
    (r"[[:alnum:]._%+-]+@[[:alnum:].-]+\.[a-z]{2,}", "<mail>", "gi"),
    (r"0x[0-9a-f]+\M|\m(?=[a-f]*[0-9])[0-9a-f]{8,}\M", "<id>", "gi"),
    (
        _CODE
        + r")\m"
        + _NAMES
        + r"(?=[[:alnum:]_-]*[0-9])(?=[[:alnum:]_-]*[[:alpha:]])"
        + r"[[:alpha:]][[:alnum:]]*([_-][[:alnum:]]+)*\M"
        + r"|\m[0-9]+[[:alpha:]][[:alnum:]]{4,}\M|\m[0-9]+([_-][[:alnum:]]+)+\M",
        "<id>",
        "gi",
    ),
    (_CODE + r"([[:alpha:]]+[^[:alnum:]]{1,3})?)\m[0-9]+([.,:][0-9]+)*(?![0-9])", "<n>", "gi"),
)


def _pattern() -> str:
    text = "reason"
    for found, instead, flags in _STEPS:
        text = f"regexp_replace({text}, '{found}', '{instead}', '{flags}')"
    return f"""
        CREATE OR REPLACE FUNCTION failure_pattern(reason text) RETURNS text
            LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN {text}
    """


# As it was in 0020.
EARLIER = r"""
    CREATE OR REPLACE FUNCTION failure_pattern(reason text) RETURNS text
        LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
        RETURN regexp_replace(regexp_replace(regexp_replace(reason,
            '[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}', '<id>', 'gi'),
            '\m(?=[a-f]*[0-9])[0-9a-f]{8,}\M', '<id>', 'gi'),
            '[0-9]+([.,:][0-9]+)*', '<n>', 'g')
"""

# The generated column is computed when its row is written.
AGAIN = "UPDATE workflow_instances SET failure_reason = failure_reason WHERE failure_reason IS NOT NULL"


def upgrade() -> None:
    op.execute(_pattern())
    op.execute(AGAIN)


def downgrade() -> None:
    op.execute(EARLIER)
    op.execute(AGAIN)
