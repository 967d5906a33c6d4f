"""The headers of a forwarded event, as the Standard Webhooks specification (1.0.0) has them. Pure.

webhook-id          the same for each try: a receiver knows by it what it has had already
webhook-timestamp   Unix seconds of this try
webhook-signature   "v1," and Base64 of HMAC-SHA256 over id.timestamp.body
"""

import base64
import hashlib
import hmac


def headers(key: bytes, identity: str, at: int, body: bytes) -> dict[str, str]:
    """`at`: Unix seconds."""
    signed = b".".join((identity.encode(), str(at).encode(), body))
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": identity,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{signature}",
    }
