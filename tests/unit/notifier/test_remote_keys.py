"""Tokens by published keys: which key counts, how often they are fetched, and what happens while they cannot be."""

import asyncio
import base64
import hmac
import json
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, OctKey, RSAKey
from ratchet.remote_keys import RemoteKeys, UnusableKeySet, parse_key_set
from ratchet.tokens import InvalidToken, KeysUnavailable, TokenVerifier

RSA = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "ec-1"})
LATER = ECKey.generate_key("P-256", {"kid": "ec-2"})


class Issuer:
    """An identity provider that publishes keys, counts who asks, and can be away."""

    def __init__(self, *keys: Key) -> None:
        self.keys = keys
        self.away = False
        self.asked = 0
        self.now = 1000.0
        self.http = httpx2.AsyncClient(transport=httpx2.MockTransport(self.answer))
        self.verifier = TokenVerifier(RemoteKeys("https://issuer/jwks", self.http, clock=lambda: self.now))

    async def answer(self, _request: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            return httpx2.Response(502)
        return httpx2.Response(200, json=KeySet(list(self.keys)).as_dict())


def signed(key: Key, algorithm: str, header: dict[str, Any] | None = None) -> str:
    full = {"alg": algorithm, "kid": key.kid} | (header or {})
    claims = {"sub": "sarah", "exp": 32_503_680_000}
    named = {name: value for name, value in full.items() if value is not None}
    return jwt.encode(named, claims, key, algorithms=[algorithm])


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


async def test_tokens_of_published_rsa_and_elliptic_keys_are_accepted_with_one_fetch() -> None:
    issuer = Issuer(RSA, EC)
    tokens = [signed(RSA, "RS256"), signed(EC, "ES256")] * 10
    principals = await asyncio.gather(*map(issuer.verifier.verify, tokens))
    assert {principal.sub for principal in principals} == {"sarah"}
    assert issuer.asked == 1


async def test_a_public_key_used_as_a_shared_secret_is_refused() -> None:
    issuer = Issuer(RSA)
    # By hand: the library refuses to make such a token.
    body = ".".join(map(encoded, ({"alg": "HS256", "kid": "rsa-1"}, {"sub": "sarah", "exp": 32_503_680_000})))
    seal = hmac.digest(RSA.as_pem(private=False), body.encode(), "sha256")
    with pytest.raises(InvalidToken, match="algorithm"):
        await issuer.verifier.verify(f"{body}.{base64.urlsafe_b64encode(seal).decode().rstrip('=')}")


async def test_a_published_symmetric_key_counts_for_nothing() -> None:
    secret = OctKey.generate_key(256, {"kid": "oct-1"})
    issuer = Issuer(EC)
    issuer.keys = (EC, secret)
    with pytest.raises(InvalidToken):
        await issuer.verifier.verify(signed(secret, "HS256"))


async def test_the_right_id_with_the_wrong_kind_of_key_is_refused() -> None:
    stranger = ECKey.generate_key("P-256", {"kid": "rsa-1"})
    with pytest.raises(InvalidToken):
        await Issuer(RSA).verifier.verify(signed(stranger, "ES256"))


async def test_a_token_without_key_id_is_accepted_only_if_one_key_can_have_signed_it() -> None:
    assert await Issuer(RSA, EC).verifier.verify(signed(EC, "ES256", {"kid": None}))
    with pytest.raises(InvalidToken):
        await Issuer(EC, LATER).verifier.verify(signed(EC, "ES256", {"kid": None}))


async def test_a_new_key_is_found_by_fetching_again() -> None:
    issuer = Issuer(EC)
    await issuer.verifier.verify(signed(EC, "ES256"))
    issuer.keys = (EC, LATER)
    issuer.now += 20
    assert await issuer.verifier.verify(signed(LATER, "ES256"))
    assert issuer.asked == 2


async def test_made_up_key_ids_do_not_cause_a_fetch_each() -> None:
    issuer = Issuer(EC)
    for number in range(50):
        with pytest.raises(InvalidToken):
            await issuer.verifier.verify(signed(LATER, "ES256", {"kid": f"made-up-{number}"}))
    assert issuer.asked == 1


async def test_keys_keep_counting_while_the_issuer_is_away() -> None:
    issuer = Issuer(EC)
    await issuer.verifier.verify(signed(EC, "ES256"))
    issuer.away = True
    issuer.now += 3600
    assert await issuer.verifier.verify(signed(EC, "ES256"))
    assert issuer.asked == 2


async def test_a_withdrawn_key_is_refused_after_the_keys_are_renewed() -> None:
    issuer = Issuer(EC, LATER)
    await issuer.verifier.verify(signed(EC, "ES256"))
    issuer.keys = (LATER,)
    issuer.now += 601
    with pytest.raises(InvalidToken):
        await issuer.verifier.verify(signed(EC, "ES256"))


async def test_an_issuer_that_was_never_reached_is_an_outage_not_a_bad_token() -> None:
    issuer = Issuer(EC)
    issuer.away = True
    with pytest.raises(KeysUnavailable):
        await issuer.verifier.verify(signed(EC, "ES256"))
    issuer.away = False
    issuer.now += 20
    assert await issuer.verifier.verify(signed(EC, "ES256"))


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"keys": {}}, {"keys": []}, {"keys": [{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"}]}],
)
def test_what_is_no_usable_key_set_is_refused_whole(document: Any) -> None:
    with pytest.raises(UnusableKeySet):
        parse_key_set(document)


def test_one_broken_key_does_not_spoil_the_others() -> None:
    broken: list[Any] = [
        None,
        {},
        {"kty": "XYZ"},
        {"kty": "RSA", "n": "?", "e": "AQAB"},
        {"kty": "EC", "crv": "P-0"},
    ]
    encryption = {**EC.as_dict(private=False), "use": "enc"}
    found = parse_key_set({"keys": [*broken, encryption, EC.as_dict(private=False)]})
    assert [key.kid for key in found] == ["ec-1"]
