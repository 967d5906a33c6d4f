"""REDIS_URL is read once: both clients connect to the same place, and what cannot be honoured is refused."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection

from tasks.storage import connections
from tasks.storage.broker import Channel
from tasks.storage.redis_url import RedisAddress, Tls, read
from tests.support.broker import celerys

READ = [
    ("redis://host", RedisAddress((("host", 6379),))),
    ("redis://host/", RedisAddress((("host", 6379),))),
    ("redis://host:6380/3", RedisAddress((("host", 6380),), db=3)),
    ("redis://host:6380/3/", RedisAddress((("host", 6380),), db=3)),
    ("redis://host:6379?db=3", RedisAddress((("host", 6379),), db=3)),
    ("redis://host:6379/?db=3", RedisAddress((("host", 6379),), db=3)),
    ("redis://host:6379/3?db=3", RedisAddress((("host", 6379),), db=3)),
    ("redis://host?virtual_host=4", RedisAddress((("host", 6379),), db=4)),
    ("redis://:pw@host/1", RedisAddress((("host", 6379),), db=1, password="pw")),
    ("redis://user:pw@host", RedisAddress((("host", 6379),), username="user", password="pw")),
    ("redis://us%40er:p%2F%23%3F%40%25@host", RedisAddress((("host", 6379),), username="us@er", password="p/#?@%")),
    ("redis://:p@ss@host", RedisAddress((("host", 6379),), password="p@ss")),
    ("redis://:%E5%AF%86%20@host", RedisAddress((("host", 6379),), password="密 ")),
    ("redis://:+@host", RedisAddress((("host", 6379),), password="+")),
    ("redis://host?username=u&password=p%26q", RedisAddress((("host", 6379),), username="u", password="p&q")),
    ("redis://:@host", RedisAddress((("host", 6379),))),
    ("redis://[::1]:6380/2", RedisAddress((("::1", 6380),), db=2)),
    ("redis://:p@[2001:db8::1]", RedisAddress((("2001:db8::1", 6379),), password="p")),
    ("redis://my_redis.svc:1", RedisAddress((("my_redis.svc", 1),))),
    ("rediss://:p@h:6380/0", RedisAddress((("h", 6380),), password="p", tls=Tls())),
    ("rediss://h?ssl_cert_reqs=required", RedisAddress((("h", 6379),), tls=Tls())),
    ("unix:///run/s", RedisAddress(path="/run/s")),
    ("unix:///run/s/?db=2", RedisAddress(path="/run/s", db=2)),
    ("unix://:pw@/run/s?db=2", RedisAddress(path="/run/s", db=2, password="pw")),
    ("unix://u:p%40@/run/s?virtual_host=2", RedisAddress(path="/run/s", db=2, username="u", password="p@")),
    ("unix:///run/s?password=pw&db=1", RedisAddress(path="/run/s", db=1, password="pw")),
    ("unix:///a%3Fb/c%23d/100%25/e%20f/%E6%95%B0%E6%8D%AE", RedisAddress(path="/a?b/c#d/100%/e f/数据")),
    ("sentinel://a:26379/main", RedisAddress((("a", 26379),), master="main")),
    ("sentinel://a:1,b:2,10.0.0.3:3/main/5", RedisAddress((("a", 1), ("b", 2), ("10.0.0.3", 3)), master="main", db=5)),
    ("sentinel://:p%40ss%2F@a:1/main/", RedisAddress((("a", 1),), master="main", password="p@ss/")),
    ("sentinel://:p@ss@a:1/main", RedisAddress((("a", 1),), master="main", password="p@ss")),
    ("sentinel://u:p@a:1/main", RedisAddress((("a", 1),), master="main", username="u", password="p")),
    ("sentinel://[::1]:1,[::2]:2/main?db=3", RedisAddress((("::1", 1), ("::2", 2)), master="main", db=3)),
    (
        "sentinel://:p@a:1/main/1?sentinel_username=su&sentinel_password=s%26p",
        RedisAddress((("a", 1),), None, "main", 1, None, "p", "su", "s&p"),
    ),
    ("sentinel://a:1/main?ssl=true", RedisAddress((("a", 1),), master="main", tls=Tls())),
]


@pytest.mark.parametrize(("url", "parts"), READ)
def test_a_url_is_read_into_its_parts(url: str, parts: RedisAddress) -> None:
    assert read(url) == parts


def settings_of(pool: Any) -> dict[str, Any]:
    names = ("host", "port", "path", "db", "username", "password", "ssl_cert_reqs", "ssl_ca_certs", "protocol")
    found = {name: pool.connection_kwargs.get(name) for name in names} | {"class": pool.connection_class}
    if hasattr(pool, "sentinel_manager"):
        asked = [one.connection_pool.connection_kwargs for one in pool.sentinel_manager.sentinels]
        found |= {"master": pool.service_name}
        found |= {"sentinels": [{name: one.get(name) for name in names} for one in asked]}
    return found


class _NotConnected(Channel):
    """Celery's channel without its first PING."""

    def __init__(self, options: dict[str, Any]) -> None:
        for name in ("address", "socket_timeout", "socket_connect_timeout", "health_check_interval"):
            setattr(self, name, options[name])


@pytest.mark.parametrize("url", [url for url, _ in READ])
def test_both_clients_connect_to_the_same_place_in_the_same_way(url: str) -> None:
    ours = connections.connect(url, timeout=1).connection_pool
    for asynchronous in (False, True):
        theirs = _NotConnected(celerys(url).transport_options)._get_pool(asynchronous)
        assert settings_of(ours) == settings_of(theirs)
        assert (theirs.connection_kwargs["socket_timeout"], theirs.connection_kwargs["socket_connect_timeout"]) == (
            3,
            1,
        )
        assert theirs.connection_kwargs["health_check_interval"] == 5


@pytest.mark.parametrize("url", [url for url, _ in READ if "p" in (read(url).password or "")])
def test_what_celery_shows_of_its_settings_has_no_password(url: str) -> None:
    broker_url, options = connections.broker(url)
    connection: Connection = celerys(url)
    for shown in (broker_url, repr(options["address"]), str(options["address"]), connection.as_uri()):
        for secret in (read(url).password, read(url).sentinel_password):
            assert secret is None or (f":{secret}@" not in shown and f"'{secret}'" not in shown)


@pytest.mark.parametrize("url", [url for url, _ in READ])
def test_celery_names_the_address_in_its_log_whatever_its_form(url: str) -> None:
    assert celerys(url).as_uri() == str(read(url))


# ------------------------------------------------------------------------------------------------ refused


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        ("localhost:6379", "must start with redis://"),
        ("REDIS://localhost", "must start with redis://"),
        ("redis:/localhost", "must start with redis://"),
        ("redis:///0", "name a host"),
        ("redis+cluster://a:1", "Redis Cluster"),
        ("redis://a:6379,b:6379/0", "a URL with a port"),
        ("redis://a,b/0", "Redis Cluster is not supported"),
        ("redis://host/3?db=4", "two databases"),
        ("redis://host?db=3&virtual_host=4", "two databases"),
        ("redis://host?db=3&db=4", "the option db twice"),
        ("redis://host/zero", "number of a database"),
        ("redis://host/-1", "number of a database"),
        ("redis://host/1/2", "number of a database"),
        ("redis://host?db=x", "number of a database"),
        ("redis://host/²", "number of a database"),
        ("redis://host:0", "a port from 1 to 65535"),
        ("redis://host:65536", "a port from 1 to 65535"),
        ("redis://:hunter/2@host", "in a password are %XX"),
        ("redis://:hun#ter@host", "write %23"),
        ("redis://:hun ter@host", "write %20"),
        ("redis://host\n", "line end"),
        ("redis://:hunter@host?password=hunter2", "two values for password"),
        ("redis://[::1", "a URL with a port"),
        ("redis://[::zz]", "must"),
        ("redis://::1:6379", "must"),
        ("redis://host?timeout=3", "not known (timeout); there are db"),
        ("redis://host?hunter2%40=3", "not known (its name is no option's)"),
        ("redis://host?socket_timeout=3", "socket_timeout, which this system sets by itself"),
        ("redis://host?ssl_ca_certs=/ca.pem", "not known (ssl_ca_certs)"),
        ("redis://host?ssl_cert_reqs=none", "not known (ssl_cert_reqs)"),
        ("rediss://host?ssl_cert_reqs=none", "without verification"),
        ("rediss://host?ssl_cert_reqs=CERT_NONE", "without verification"),
        ("rediss://host?ssl_cert_reqs=optional", "without verification"),
        ("rediss://host?ssl_check_hostname=false", "not known (ssl_check_hostname)"),
        ("rediss://host?ssl_ca_certs=/no/such/ca.pem", "ssl_ca_certs that cannot be read"),
        ("unix://run/s", "unix:/// and go on with the path"),
        ("unix:///", "unix:/// and go on with the path"),
        ("unix://", "unix:/// and go on with the path"),
        ("unix:///" + "a" * 107, "longer than 107 bytes"),
        ("unix:///" + "%E6%95%B0" * 36, "longer than 107 bytes"),
        ("unix:///run/s?dir=x", "not known (dir)"),
        ("sentinel://a/m", "must look like sentinel://"),
        ("sentinel://a:1", "must look like sentinel://"),
        ("sentinel://a:1/", "must look like sentinel://"),
        ("sentinel://a:1,/m", "must look like sentinel://"),
        ("sentinel://a:1/m/zero", "must look like sentinel://"),
        ("sentinel://a:1/m/0/0", "must look like sentinel://"),
        ("sentinel://a:99999/m", "a port from 1 to 65535"),
        ("sentinel://a:1/m?ssl_ca_certs=/ca", "without ssl=true"),
        ("sentinel://a:1/m?ssl=maybe", "neither true nor false"),
        ("sentinel://a:1/m?ssl=true&ssl_cert_reqs=none", "without verification"),
        ("sentinel://a:1/m?sentinel_kwargs=x", "not known (sentinel_kwargs)"),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_its_cure(url: str, cure: str) -> None:
    with pytest.raises(ValueError, match=re.escape(cure)) as refused:
        read(url)
    assert "hunter" not in str(refused.value)


def test_the_files_of_tls_are_kept(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key"):
        (tmp_path / name).touch()
    query = f"ssl_ca_certs={tmp_path}/ca&ssl_certfile={tmp_path}/cert&ssl_keyfile={tmp_path}/key"
    tls = Tls(f"{tmp_path}/ca", f"{tmp_path}/cert", f"{tmp_path}/key")
    assert read(f"rediss://h?{query}").tls == read(f"sentinel://h:1/m?ssl=1&{query}").tls == tls


@given(st.text(alphabet=st.sampled_from("redis:/?#@[]%2.,&=ab01密 \n"), max_size=40))
def test_junk_is_read_or_refused_and_nothing_else(rest: str) -> None:
    for scheme in ("redis", "rediss", "unix", "sentinel"):
        try:
            address = read(f"{scheme}://{rest}")
        except ValueError:
            continue
        else:
            connections.connect(f"{scheme}://{rest}", timeout=1).close()
            assert address.path or address.hosts
