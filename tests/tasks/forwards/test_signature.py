"""The signature is what the specification's own library verifies; which addresses are public."""

import base64
import json
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tasks.forwards.addresses import is_public
from tasks.forwards.signature import headers

pytestmark = pytest.mark.unit

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
BODY = '{"type": "contact.add", "data": {"state": "渠道"}}'.encode()


def test_the_specifications_own_library_verifies_it() -> None:
    signed = headers(KEY, "1f", int(time.time()), BODY)
    assert Webhook(SECRET).verify(BODY, signed) == json.loads(BODY)


@pytest.mark.parametrize(
    "hurt",
    [
        lambda signed, body: (signed, body + b" "),
        lambda signed, body: (signed | {"webhook-id": "2e"}, body),
        lambda signed, body: (signed | {"webhook-timestamp": str(int(signed["webhook-timestamp"]) + 1)}, body),
    ],
    ids=["body", "id", "time"],
)
def test_what_was_changed_on_the_way_is_not_verified(hurt) -> None:
    signed, body = hurt(headers(KEY, "1f", int(time.time()), BODY), BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body, signed)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "121.14.0.1", "64:ff9b::101:101", "::ffff:1.1.1.1", "2606:4700::1111", "2a00:1450:4001::200e"],
)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",  # the metadata of a cloud's machines
        "100.64.0.1",
        "100.100.100.200",  # the metadata of another cloud's
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",  # 6to4 of 127.0.0.1
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",  # Teredo of 10.0.0.1
        "64:ff9b::7f00:1",  # NAT64 of it
        "64:ff9b:1::7f00:1",  # and in a network's own prefix
        "::127.0.0.1",  # forms that nobody gives out any more
        "::ffff:0:127.0.0.1",
        "fec0::1",
        "no address",
        "",
    ],
)
def test_others_are_not(address: str) -> None:
    assert not is_public(address)
