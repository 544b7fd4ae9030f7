"""What is told of an error: its own text, and never a value out of somebody's state."""

from typing import Annotated, Literal

import pydantic
import pytest
from ratchet.domain.failure import classify

SECRET = "4111-1111-1111-1111"


class Order(pydantic.BaseModel):
    amount: int
    card: str = ""


def refused() -> pydantic.ValidationError:
    try:
        Order.model_validate({"amount": SECRET, "card": 5})
    except pydantic.ValidationError as error:
        return error
    raise AssertionError("it should not fit")


def test_a_value_that_did_not_fit_is_told_by_its_field_and_what_was_wanted() -> None:
    reason = classify(refused()).reason
    assert SECRET not in reason
    assert reason.startswith("ValidationError: Order: amount: Input should be a valid integer")
    assert "card: Input should be a valid string" in reason


def test_nor_is_it_told_from_within_a_group() -> None:
    reason = classify(ExceptionGroup("two steps", [refused(), ValueError("no")])).reason
    assert SECRET not in reason
    assert reason.startswith("ExceptionGroup: two steps: ValidationError: Order: amount")


def test_of_a_large_group_a_few_are_told_and_the_rest_is_counted() -> None:
    reason = classify(ExceptionGroup("many", [ValueError(str(number)) for number in range(10)])).reason
    assert reason == "ExceptionGroup: many: ValueError: 0; ValueError: 1; ValueError: 2; and 7 more"


class Card(pydantic.BaseModel):
    kind: Literal["card"]


class Cash(pydantic.BaseModel):
    kind: Literal["cash"]


class Payment(pydantic.BaseModel):
    by: Annotated[Card | Cash, pydantic.Field(discriminator="kind")]
    limits: dict[str, int] = {}


def test_neither_tags_nor_keys_are_told_for_they_are_values_too() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        Payment.model_validate({"by": {"kind": SECRET}, "limits": {SECRET: "many"}})
    reason = classify(caught.value).reason
    assert SECRET not in reason
    assert "by: Input tag does not match" in reason
    assert "limits.[key]: Input should be a valid integer" in reason
