"""Which failures are alike: about a hundred messages as they come, in the groups that a person would make."""

import asyncpg

GROUPS = [
    ["TransientError: erp.internal answered 503"],
    ["TransientError: erp.internal answered 500"],
    ["PermanentError: erp.internal answered 404"],
    ["PermanentError: erp.internal answered 409"],
    [
        "HTTPStatusError: Client error '404 Not Found' for url 'https://erp.example/orders/17'",
        "HTTPStatusError: Client error '404 Not Found' for url 'https://erp.example/orders/18213'",
    ],
    [
        "HTTPStatusError: Server error '503 Service Unavailable' for url 'https://erp.example/orders/17'",
        "HTTPStatusError: Server error '503 Service Unavailable' for url 'https://erp.example/orders/9'",
    ],
    ["HTTPError: 429 Client Error: Too Many Requests for url: https://x/9"],
    [
        "HTTPError: 404 Client Error: Not Found for url: https://x/9",
        "HTTPError: 404 Client Error: Not Found for url: https://x/77",
    ],
    [
        "ConnectionRefusedError: [Errno 111] Connect call failed ('127.0.0.1', 5432)",
        "ConnectionRefusedError: [Errno 111] Connect call failed ('10.1.2.3', 5433)",
    ],
    ["OSError: [Errno 113] No route to host", "OSError: [Errno 113] No route to host"],
    ["OSError: [Errno 101] Network is unreachable"],
    [
        "ValueError: order ORD-12af is closed",
        "ValueError: order ORD-99bc is closed",
        "ValueError: order ORD-1234 is closed",
    ],
    ["ValueError: invoice INV-2024-0017 was paid", "ValueError: invoice INV-2025-0918 was paid"],
    [
        "LookupError: customer cus_9s6XKzkNRiz8i3 does not exist",
        "LookupError: customer cus_AbC123xyz does not exist",
        "LookupError: customer cus_0 does not exist",
    ],
    ["ValueError: user42 has no address", "ValueError: user4711 has no address"],
    ["KeyError: 'customer'", "KeyError: 'customer'"],
    ["KeyError: 'amount'"],
    ["IndexError: list index out of range"],
    ["StepTimeout: no result within 30 s", "StepTimeout: no result within 45 s", "StepTimeout: no result within 1.5 s"],
    ["TimeoutError: took 503 ms", "TimeoutError: took 12 ms"],
    ["OperationalError: ORA-00060: deadlock detected while waiting for resource"],
    ["OperationalError: ORA-12541: TNS:no listener"],
    [
        "SerializationError: SQLSTATE 40001: could not serialize access",
        "SerializationError: SQLSTATE 40001: could not serialize access",
    ],
    ["SerializationError: SQLSTATE 40P01: could not serialize access"],
    ["UniqueViolation: Key (id)=(17) already exists.", "UniqueViolation: Key (id)=(18) already exists."],
    [
        "ValueError: workflow 6f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0 is gone",
        "ValueError: workflow 00000000-0000-4000-8000-000000000001 is gone",
    ],
    [
        "ValueError: trace 4bf92f3577b34da6a3ce929d0e0e4736 lost",
        "ValueError: trace 00f067aa0ba902b700f067aa0ba902b7 lost",
    ],
    ["ValueError: file /data/2024-01-17/orders.csv is empty", "ValueError: file /data/2025-12-31/orders.csv is empty"],
    [
        "ValueError: no rate at 2024-01-17T08:30:00Z",
        "ValueError: no rate at 2025-02-01 09:00:01.123+01:00",
        "ValueError: no rate at 2025-02-01",
    ],
    ["ValueError: sarah@example.com was refused", "ValueError: tom.o@mail.example.org was refused"],
    ["ConnectionError: cannot reach [2001:db8::1]:443", "ConnectionError: cannot reach [2001:db8::ff]:443"],
    ["RuntimeError: exit code 1", "RuntimeError: exit code 1"],
    ["RuntimeError: exit code 137"],
    ["RuntimeError: killed by signal 9"],
    ["RuntimeError: killed by signal 15"],
    ["ValueError: bad utf8 in line 3", "ValueError: bad utf8 in line 912"],
    ["ValueError: bad sha256 of part 3", "ValueError: bad sha256 of part 4"],
    ["ClientError: An error occurred (ThrottlingException) when calling the PutItem operation"],
    ["ClientError: An error occurred (404) when calling the HeadObject operation: Not Found"],
    ["ClientError: An error occurred (403) when calling the HeadObject operation: Not Found"],
    [
        "RuntimeError: <Order object at 0x7f3a2c001d90> is locked",
        "RuntimeError: <Order object at 0x7f3a2c0ffe10> is locked",
    ],
    ["ValueError: shipment 1Z999AA10123456784 unknown", "ValueError: shipment 1Z12345E0205271688 unknown"],
    ["ValueError: IBAN DE89370400440532013000 refused", "ValueError: IBAN GB29NWBK60161331926819 refused"],
    ["ValueError: SKU-7731-B is out of stock", "ValueError: SKU-12-A is out of stock"],
    ["PermanentError: payment declined: code 51", "PermanentError: payment declined: code 51"],
    ["PermanentError: payment declined: code 05"],
    ["ValidationError: Order: amount: Input should be a valid integer"],
    [
        "ValidationError: Order: amount: Input should be greater than 0",
        "ValidationError: Order: amount: Input should be greater than 5",
    ],
    [
        ("GrpcError: StatusCode.UNAVAILABLE: failed to connect to all addresses; last error: ipv4:10.0.0.7:50051"),
        ("GrpcError: StatusCode.UNAVAILABLE: failed to connect to all addresses; last error: ipv4:10.0.0.9:50051"),
    ],
    ["RuntimeError: retry 3 of 5 for batch 17-B", "RuntimeError: retry 1 of 5 for batch 99-C"],
    ["HTTPError: HTTP 502 from gateway", "HTTPError: HTTP 502 from gateway"],
    ["HTTPError: HTTP 504 from gateway"],
    ["MySQLError: (1213, 'Deadlock found when trying to get lock')"],
    ["LookupError: no price for article 00123 in EUR", "LookupError: no price for article 4711 in EUR"],
    ["LookupError: no price for article 4711 in USD"],
]


async def test_failures_are_grouped_by_what_went_wrong_and_not_by_whose_it_was(pool: asyncpg.Pool) -> None:
    messages = [message for group in GROUPS for message in group]
    rows = await pool.fetch("SELECT m, failure_pattern(m) AS pattern FROM unnest($1::text[]) AS m", messages)
    pattern = {row["m"]: row["pattern"] for row in rows}
    apart = [group for group in GROUPS if len({pattern[message] for message in group}) > 1]
    assert apart == [], [[pattern[message] for message in group] for group in apart]
    by_pattern: dict[str, set[int]] = {}
    for number, group in enumerate(GROUPS):
        by_pattern.setdefault(pattern[group[0]], set()).add(number)
    together = {
        found: [GROUPS[number][0] for number in numbers] for found, numbers in by_pattern.items() if len(numbers) > 1
    }
    assert together == {}
