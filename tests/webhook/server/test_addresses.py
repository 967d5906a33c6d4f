"""An address in a URL, and how this machine reaches it."""

import pytest

from webhook.server.addresses import address, loopback


@pytest.mark.parametrize(
    ("host", "shown", "near"),
    [
        ("127.0.0.1", "127.0.0.1:80", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0:80", "127.0.0.1"),
        ("", ":80", "127.0.0.1"),
        ("localhost", "localhost:80", "localhost"),
        ("::1", "[::1]:80", "::1"),
        ("[::1]", "[::1]:80", "::1"),
        ("::", "[::]:80", "::1"),
        ("[::]", "[::]:80", "::1"),
        ("fe80::1%eth0", "[fe80::1%eth0]:80", "fe80::1%eth0"),
    ],
)
def test_an_ipv6_address_takes_brackets_once(host: str, shown: str, near: str) -> None:
    assert (address(host, 80), loopback(host)) == (shown, near)
