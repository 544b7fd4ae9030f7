"""Ready-made logins for the local platform: signed tokens that the dashboard and the HTTP API take."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from joserfc import jwt
from joserfc.jwk import OctKey

VALID_FOR = timedelta(days=7)


def token_for(subject: str, roles: Sequence[str], settings: Mapping[str, str]) -> str:
    """A token for this person, signed with the platform's secret and valid for a week.

    `settings` holds RATCHET_JWT_SECRET, and audience and issuer if they are checked.
    """
    now = datetime.now(UTC)
    claims: dict[str, object] = {
        "sub": subject,
        "roles": list(roles),
        "iat": int(now.timestamp()),
        "exp": int((now + VALID_FOR).timestamp()),
    }
    for claim, variable in (("aud", "RATCHET_JWT_AUDIENCE"), ("iss", "RATCHET_JWT_ISSUER")):
        if settings.get(variable):
            claims[claim] = settings[variable]
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(settings["RATCHET_JWT_SECRET"]))
