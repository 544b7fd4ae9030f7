import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ratchet.domain.json_diff import ChangeKind, JsonChange, differences

scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.text("a~/", max_size=3)
keys = st.text("a~/b", max_size=2)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)


def apply(value: Any, change: JsonChange) -> Any:
    if not change.path:
        return change.after
    *path, last = [part.replace("~1", "/").replace("~0", "~") for part in change.path.split("/")[1:]]
    place = value
    for part in path:
        place = place[int(part)] if isinstance(place, list) else place[part]
    match change.kind, place:
        case ChangeKind.REMOVE, list():
            place.pop()  # arrays shrink at their end
        case ChangeKind.REMOVE, _:
            del place[last]
        case ChangeKind.ADD, list():
            place.append(change.after)
        case _, list():
            place[int(last)] = change.after
        case _:
            place[last] = change.after
    return value


@given(values, values)
def test_applying_the_differences_turns_one_value_into_the_other(before: Any, after: Any) -> None:
    value = copy.deepcopy(before)
    for change in differences(before, after):
        value = apply(value, change)
    assert json.dumps(value, sort_keys=True) == json.dumps(after, sort_keys=True)


@given(values)
def test_equal_values_have_no_differences(value: Any) -> None:
    assert list(differences(value, copy.deepcopy(value))) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": True}, [JsonChange(ChangeKind.REPLACE, "/a", 1, True)]),
        ({"a/b": 1}, {}, [JsonChange(ChangeKind.REMOVE, "/a~1b", before=1)]),
        ({"x": {"y": [1, 2]}}, {"x": {"y": [1, 3, 4]}}, [
            JsonChange(ChangeKind.REPLACE, "/x/y/1", 2, 3),
            JsonChange(ChangeKind.ADD, "/x/y/2", after=4),
        ]),
        ([1], {"a": 1}, [JsonChange(ChangeKind.REPLACE, "", [1], {"a": 1})]),
    ],
)  # fmt: skip
def test_a_difference_names_the_path_and_both_values(before: Any, after: Any, expected: list[JsonChange]) -> None:
    assert list(differences(before, after)) == expected
