"""Numbers that other JSON readers change: what the step gets is what was sent, however it was sent."""

import json
import random
import uuid
from typing import Any

import aio_pika
import asyncpg
from ratchet.exact_json import dumps
from ratchet.state import canonical, decode_state, encode_state

from tests.integration.executor.processes import Site
from tests.integration.executor.test_starts import all_completed, parked

LARGE = [2**63, 2**64, -(2**63) - 1, 2**70 + 1, 10**308, 9007199254740993]
FLOATS = [1e23, 1e22, 1.7976931348623157e308, 5e-324, 1e-7, 0.1, 123456789012345.67]

BACK = "SELECT array_agg(j::text ORDER BY n) FROM unnest($1::jsonb[]) WITH ORDINALITY AS t(j, n)"
STATES = "SELECT workflow_id, state::text AS state FROM checkpoints"


def start(value: Any) -> dict[str, Any]:
    return {"workflowId": str(uuid.uuid4()), "definition": "many", "ownerId": "sarah", "input": {"n": value}}


async def test_a_step_gets_every_number_as_it_was_sent_alone_in_an_array_and_to_a_waiting_step(site: Site) -> None:
    site.start("executor")
    await site.begin("many")
    alone = [start(number) for number in LARGE + FLOATS]
    together = [start(number) for number in LARGE + FLOATS]
    for body in alone:
        await site.publish("workflow.start", body)
    await site.publish("workflow.start", together)
    waiting = await site.begin("awaiting", n=2**70)
    inputs = {"workflowId": str(waiting), "stepId": "approve", "inputs": {"n": LARGE + FLOATS}}
    await site.publish("step.execute", inputs)
    await all_completed(site, 2 + len(alone) + len(together))
    got = {str(row["workflow_id"]): decode_state(row["state"]) for row in await site.connection.fetch(STATES)}
    for body in alone + together:
        sent = body["input"]["n"]
        assert got[body["workflowId"]]["n"] == sent
        assert type(got[body["workflowId"]]["n"]) is type(sent)
    assert got[str(waiting)] == {"n": 2**70, "inputs": {"n": LARGE + FLOATS}}
    assert await site.count("SELECT count(*) FROM parked_messages") == 0


async def test_what_cannot_be_kept_is_parked_by_its_name_with_the_bytes_that_were_sent(site: Site) -> None:
    site.start("executor")
    await site.begin("many")
    good, bad = json.dumps(start(2**70 + 1)), json.dumps(start("?")).replace('"?"', " 1.50e400 ")
    twice = json.dumps(start(1)).replace('"n": 1', '"n": 1,  "n": 18446744073709551617')
    connection = await aio_pika.connect(site.amqp_url)
    async with connection:
        exchange = await (await connection.channel()).get_exchange("ratchet.commands", ensure=False)
        for number, body in enumerate([bad, f"[{good} , {twice} ]"]):
            await exchange.publish(aio_pika.Message(body.encode(), message_id=f"m-{number}"), "workflow.start")
    rows = await parked(site, 2)
    assert {row["body"].decode() for row in rows} == {bad, twice}
    assert {row["reason"].split(":")[0] for row in rows} == {"input.n"}
    await all_completed(site, 2)


async def test_what_postgres_gives_back_is_what_was_kept(database_url: str) -> None:
    drawn = random.Random(7)
    values: list[Any] = [drawn.getrandbits(drawn.randrange(1, 1000)) - 2**64 for _ in range(300)]
    values += [drawn.uniform(-1, 1) * 10.0 ** drawn.randrange(-320, 308) for _ in range(700)]
    values += [float(round(value)) for value in values if abs(value) < 1e300]
    values += [-0.0, 0.0, 1e23, [1e16, {"a": -0.0, "b": "1e400"}], 5e-324, 10**4000]
    connection = await asyncpg.connect(database_url)
    given = [encode_state(value).decode() for value in values]
    kept = await connection.fetchval(BACK, given)
    await connection.close()
    for value, text in zip(values, kept, strict=True):
        back = decode_state(text)
        assert back == value
        assert dumps(back) == dumps(value), "of the same type, too"
        assert canonical(back) == canonical(value)
