"""Whatever number was sent is what the step gets and what is kept; or it is refused, and the refusal names it."""

import json
import math
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ratchet.domain.checkpoint import Position, checksum, is_intact
from ratchet.domain.errors import MalformedMessage, StateNotStorable
from ratchet.exact_json import InexactJson, dumps, loads, loads_answer, members
from ratchet.messages.bulk_start import BulkStart
from ratchet.messages.commands import ExecuteStep, StartWorkflow, decode, encode
from ratchet.state import canonical, decode_state, read_back

PLACE = Position(UUID(int=1), 3, 2, "ship")
ID = str(UUID(int=7))

digits = st.from_regex(r"\A-?(0|[1-9][0-9]{0,30})\Z")
decimals = st.from_regex(r"\A-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,25})?([eE][-+]?[0-9]{1,3})?\Z")
doubles = st.floats(allow_nan=False, allow_infinity=False).map(repr)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
quoted = texts.map(json.dumps) | texts.map(lambda text: json.dumps(text, ensure_ascii=False))
looks_like = st.sampled_from(['"1e400"', '"-0.0"', '":1e5"', '"a\\":1e5,"', '"\\u003a"', '"18446744073709551616"'])
leaves = digits | decimals | doubles | quoted | looks_like | st.sampled_from(["null", "true", "-0", "-0.0", "1e23"])
json_texts = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)} ]")
        | st.lists(st.tuples(quoted, inner), max_size=4).map(
            lambda pairs: "{" + ",".join(f"{key} :{value}" for key, value in pairs) + "}"
        )
    ),
    max_leaves=12,
)


def jsonb(text: str) -> str:
    """What Postgres' jsonb gives back for a text: decimal digits as they are, no exponent, no sign of zero."""

    def rewritten(number: str) -> Any:
        plain = format(Decimal(number), "f")
        return Written(plain.lstrip("-") if Decimal(number) == 0 else plain)

    return written(json.loads(text, parse_int=Written, parse_float=rewritten))


class Written(str):
    """A number in its digits."""

    __slots__ = ()


def written(value: Any) -> str:
    match value:
        case Written():
            return str(value)
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)}: {written(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(written(item) for item in value) + "]"
        case _:
            return json.dumps(value)


def is_what_was_sent(sent: Any, got: Any) -> bool:
    """Numbers by their value: integers to the last digit, others to the nearest double."""
    if isinstance(sent, dict):
        return sent.keys() == got.keys() and all(is_what_was_sent(sent[key], got[key]) for key in sent)
    if isinstance(sent, list):
        return len(sent) == len(got) and all(map(is_what_was_sent, sent, got))
    return type(sent) is type(got) and bool(sent == got)


@given(json_texts)
@example("[1e23, 1e22, -0.0, 5e-324, 1.7976931348623157e308, 9007199254740993, 1e16]")
@example("[18446744073709551616, -9223372036854775809, 1180591620717411303425]")
@example('{"a": {"b": 1, "b": 2}}')
def test_what_was_sent_is_what_every_step_gets_and_what_passes_its_checksum_or_it_is_refused(text: str) -> None:
    try:
        sent = loads(text.encode())
    except InexactJson:
        assert not is_exact(text), "nothing is refused that could have been kept"
        return
    assert is_exact(text)
    assert is_what_was_sent(json.loads(text), sent)
    try:
        kept = read_back(sent)
    except StateNotStorable:
        assert "\\u0000" in text
        return
    assert is_what_was_sent(sent, kept.value)
    later = decode_state(jsonb(kept.text.decode()))
    assert is_what_was_sent(kept.value, later), "after a trip through the database it is the same, and of the same type"
    assert is_intact(PLACE, canonical(later), checksum(PLACE, canonical(kept.value)))


def is_exact(text: str) -> bool:
    """By Python's own reader, slowly: no key twice, no number that a double holds only in part."""
    verdicts: list[bool] = []

    def fraction(number: str) -> float:
        exact, double = Decimal(number), float(number)
        held = math.isfinite(double) and (double != 0 or exact == 0)
        significant = "".join(str(digit) for digit in exact.as_tuple().digits).strip("0")
        verdicts.append(held and (len(significant) <= 17 or Decimal(double) == exact))
        return double

    def pairs(items: list[tuple[str, Any]]) -> None:
        verdicts.append(len({key for key, _value in items}) == len(items))

    json.loads(text, parse_float=fraction, object_pairs_hook=pairs)
    return all(verdicts)


@given(json_texts)
def test_commands_carry_every_value_over_the_wire(text: str) -> None:
    body = f'{{"workflowId": "{ID}", "definition": "d", "ownerId": "o", "input": {{"x": {text}}}}}'.encode()
    try:
        command = decode(StartWorkflow, body)
    except MalformedMessage:
        return
    assert decode(StartWorkflow, encode(command)) == command
    assert command.input == {"x": json.loads(text)}
    assert decode(StartWorkflow, encode(command)).content_hash() == command.content_hash()


@given(st.lists(json_texts, min_size=1, max_size=5), st.sampled_from(["", " ", "\n\t "]))
def test_the_members_of_an_array_are_cut_out_byte_by_byte(texts: list[str], space: str) -> None:
    whole = f"{space}[{space}" + f"{space},{space}".join(texts) + f"{space}]{space}"
    assert members(whole.encode()) == [text.strip().encode() for text in texts]


@given(st.lists(json_texts, min_size=1, max_size=4))
def test_a_member_of_an_array_is_read_and_refused_as_if_it_had_come_alone(texts: list[str]) -> None:
    bodies = [f'{{"workflowId":"{ID}","definition":"d","ownerId":"o","input":{{"x":{text}}}}}' for text in texts]
    bulk = BulkStart(f"[{','.join(bodies)}]".encode())
    for index, body in enumerate(bodies):
        assert bulk.text(index) == body.encode()
        try:
            alone = decode(StartWorkflow, body.encode())
        except MalformedMessage:
            with pytest.raises(MalformedMessage):
                bulk.member(index)
        else:
            assert bulk.member(index) == alone
            assert is_what_was_sent(alone.input, bulk.member(index).input)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": [0, 1e400]}', "a.1: a number is too large"),
        ('{"a": -1e400}', "a: a number is too large"),
        ("1e-400", "body: a number is too near to zero"),
        ('{"price": 12345678901234567.89}', "price: a number has more than the 17 significant digits"),
        ('{"a": {"b": 1, "c": 0, "b": 1}}', "a.b: this key stands more than once"),
        ("1" * 4301, "body: an integer has more than 4300 digits"),
        ("[" * 2000 + "]" * 2000, "nested too deep"),
        ("[1e400," + "[" * 200_000 + "]" * 200_000 + "]", "nested too deep"),
        ('"\\ud800"', "surrogate"),
    ],
)
def test_what_cannot_be_kept_as_it_was_sent_is_refused_by_name(text: str, why: str) -> None:
    with pytest.raises(InexactJson) as refusal:
        loads(text.encode())
    assert why in str(refusal.value)


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", "[-Infinity, 1e5]", "[1e400, NaN]", "01", "\ufeff1", "[1e5,]", ""]
)
def test_what_is_no_json_is_not_taken_for_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(text.encode())
    with pytest.raises(ValueError, match=r"."):
        loads_answer(text.encode())


def test_seventeen_digits_are_a_double_also_where_fewer_would_do() -> None:
    assert loads(b"[0.10000000000000001, 0.1, 0.1000000000000000055511151231257827021181583404541015625]") == [0.1] * 3


def test_an_answer_keeps_its_integers_and_takes_the_nearest_double_for_the_rest() -> None:
    answer = loads_answer(b'{"id": 1180591620717411303425, "rate": 0.123456789012345678901, "a": 1, "a": 2}')
    assert answer == {"id": 2**70 + 1, "rate": 0.12345678901234568, "a": 2}
    with pytest.raises(InexactJson):
        loads_answer(b'{"rate": 1e400}')


def test_inputs_of_a_step_are_read_by_the_same_rules() -> None:
    body = f'{{"workflowId": "{ID}", "stepId": "s", "inputs": {{"a": {2**70 + 1}}}}}'.encode()
    assert decode(ExecuteStep, body).inputs == {"a": 2**70 + 1}
    with pytest.raises(MalformedMessage, match=r"inputs\.a: "):
        decode(ExecuteStep, body.replace(b"1180591620717411303425", b"1e999"))


@pytest.mark.parametrize(
    "value", [{1: 2**70}, {"a": {2**70}}, [2**70, object()], 10**5000], ids=["key", "set", "object", "long"]
)
def test_a_state_that_is_no_json_is_refused_beside_a_large_integer_too(value: Any) -> None:
    with pytest.raises(StateNotStorable):
        read_back(value)


def test_an_ordinary_text_is_written_as_orjson_writes_it() -> None:
    assert dumps({"id": "3e5a-4e-7", "n": [1, 2.5, "x: -0.0", 0.0]}) == b'{"id":"3e5a-4e-7","n":[1,2.5,"x: -0.0",0.0]}'


def test_a_long_text_full_of_digits_before_an_e_is_read_in_no_time() -> None:
    assert len(loads(b'["' + b"0e" * 500_000 + b'"]')[0]) == 1_000_000
