"""What the text of a setting means, by its kind: readers, and makers of readers with bounds. Pure.

Each takes the text and returns the value. ValueError says what it should look like, and never quotes a secret.
"""

import base64
import ipaddress
import math
import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from tasks.people.roles import Admin
from tasks.storage import redis_url as redis_address
from tasks.storage.keys import QUEUE, SLOW_QUEUE
from tasks.wecom.proxy import Proxy


def _url(value: str, *schemes: str) -> str:
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises for one that is no port
    except ValueError:  # its message quotes the URL, and so a password
        raise ValueError("must be a URL with a port from 1 to 65535") from None
    whole = value.startswith(f"{parts.scheme}://") and (parts.hostname or (parts.scheme == "unix" and parts.path))
    if parts.scheme not in schemes or not whole:
        raise ValueError("must start with " + " or ".join(f"{s}://" for s in schemes) + ", and name a host")
    return value.rstrip("/")


def http_url(value: str) -> str:
    return _url(value, "http", "https")


def robot_url(value: str) -> str:
    """Of a group robot. On another host than WeCom's, which passes messages on, it may be any."""
    try:
        url = _url(value, "http", "https")
        parts = urlsplit(url)
        key = parse_qs(parts.query).get("key", [""])[0]
        at_wecom = parts.hostname == "qyapi.weixin.qq.com"
        if at_wecom and not (parts.scheme == "https" and parts.path == "/cgi-bin/webhook/send" and key):
            raise ValueError
        if "@" in parts.netloc or parts.fragment or not re.fullmatch(r"[!-~]+", url):
            raise ValueError
    except ValueError:  # its message might quote the URL, and so the key
        raise ValueError(
            "must be the group robot's whole URL: https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=…"
        ) from None
    return url


def redis_url(value: str) -> str:
    redis_address.read(value)
    return value


def secret(value: str) -> str:
    """As it is: what stands at an end by mistake (echo, a copied line) would be a wrong secret, and nobody sees it."""
    if value != value.strip():
        raise ValueError("begins or ends with a blank or a line end; take it away")
    return value


def app_secret(value: str) -> str:
    """WeCom's secret of an app, which has no blanks."""
    if re.search(r"[\s\x00-\x20\x7f]", secret(value)):
        raise ValueError("has a blank or a control character inside; copy it again from the app's page")
    return value


def long_secret(least: int, why: str) -> Callable[[str], str]:
    """A secret that is not guessed."""

    def read(value: str) -> str:
        if len(value.strip()) < least:
            raise ValueError(f"must have at least {least} characters: {why}")
        return secret(value)

    return read


def number(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    def read(value: str) -> float:
        try:
            number = kind(value)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise ValueError(f"must be a number from {least:g} to {most:g}")
        return number

    return read


def zone(value: str) -> ZoneInfo:
    try:
        return ZoneInfo(value)
    except (OSError, ValueError, KeyError):
        raise ValueError("must be a time zone's name, such as Asia/Shanghai") from None


def one_of(*choices: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError("must be one of " + ", ".join(choices))
        return value.lower()

    return read


def bind(value: str) -> str:
    host, colon, port = value.rpartition(":")
    inner = host[1:-1] if host.startswith("[") and host.endswith("]") else None
    try:
        if inner is not None:
            ipaddress.IPv6Address(inner)
        fits = colon and re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536
        if not fits or (inner is None and not re.fullmatch(r"[^:\s\[\]]*", host)):
            raise ValueError
    except ValueError:
        raise ValueError("must be host:port, an IPv6 address in brackets: [::1]:9000") from None
    return value


def corp_id(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{4,64}", value):
        raise ValueError("must be the 企业ID of 我的企业, such as ww0123456789abcdef")
    return value


def token(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]{1,32}", value):
        raise ValueError("must be 1 to 32 letters and digits, as entered in 接收消息 (doc 90930)")
    return value


def aes_key(value: str) -> str:
    other = re.search(r"[^A-Za-z0-9+/]", value)
    if len(value) == 43 and other is not None:
        raise ValueError(
            "must be the 43 characters of EncodingAESKey (doc 90930), letters and digits; "
            f"number {other.start() + 1} is something else"
        )
    try:
        if len(value) != 43 or len(base64.b64decode(value + "=", validate=True)) != 32:
            raise ValueError
    except ValueError:  # binascii.Error is one
        raise ValueError(f"must be the 43 characters of EncodingAESKey (doc 90930); it has {len(value)}") from None
    return value


def signing_secret(value: str) -> bytes:
    """The key of a secret of Standard Webhooks: Base64, with or without whsec_."""
    try:
        key = base64.b64decode(secret(value).removeprefix("whsec_"), validate=True)
        if not 16 <= len(key) <= 64:
            raise ValueError
    except ValueError:  # binascii.Error is one
        raise ValueError("must be whsec_ and the Base64 of 16 to 64 random bytes; openssl rand -base64 32") from None
    return key


def forward_url(value: str) -> str:
    """Where events are forwarded to: over TLS, or on this machine."""
    try:
        parts = urlsplit(_url(value, "http", "https"))
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            raise ValueError
        if "@" in parts.netloc or parts.fragment or not re.fullmatch(r"[!-~]+", value):
            raise ValueError
    except ValueError:  # its message might quote a token in the query
        raise ValueError("must be https://host/path (http:// on this machine), without user, password or #") from None
    return value


def task_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][\w.]{0,199}", value, re.ASCII):
        raise ValueError("must be the name of a Celery task, such as crm.tasks.greeted")
    return value


def queue_name(value: str) -> str:
    """Of a queue that is not ours."""
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,100}", value) or value in (QUEUE, SLOW_QUEUE):
        raise ValueError(f"must be a Celery queue's name, and neither {QUEUE} nor {SLOW_QUEUE}, which are ours")
    return value


def broker_url(value: str) -> str:
    """Of a Celery broker, by a transport that kombu knows and that works here."""
    from kombu.connection import Connection  # here, since few installations need it
    from kombu.transport import TRANSPORT_ALIASES

    scheme, _, rest = value.partition("://")
    known = scheme.partition("+")[0] in TRANSPORT_ALIASES and scheme != "unix"
    if not known or not re.fullmatch(r"[!-~]+", rest):
        raise ValueError("must be a Celery broker's URL, such as amqp://user:password@host:5672//")
    try:
        Connection(value).connection_errors  # noqa: B018 - loads the transport's library; connects to nothing
    except (ImportError, NameError):  # the latter from kombu's module for Kafka
        name = scheme.partition("+")[0]
        raise ValueError(f"needs a Python library that is not installed here: that of kombu[{name}]") from None
    return value


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def proxy(value: str) -> str:
    Proxy.parse(value)
    return value


def domain_verification(value: str) -> str:
    """The code alone. The file's whole name is taken too: that is what WeCom's console offers to copy."""
    code = value.removesuffix(".txt").removeprefix("WW_verify_")
    if not value.startswith("WW_verify_") or not re.fullmatch(r"[A-Za-z0-9]{1,64}", code):
        raise ValueError("must be the name of WeCom's file, such as WW_verify_0123456789abcdef")
    return code


def admins(value: str) -> tuple[Admin, ...]:
    """zhangsan,lisi; of one of several corps wwcorp/zhangsan."""
    found = []
    for one in value.split(","):
        corp, slash, userid = one.strip().rpartition("/")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}", userid) or (slash and not corp):
            raise ValueError("must be userids with commas between them, such as zhangsan,lisi")
        found.append(Admin(userid, corp_id(corp) if corp else ""))
    return tuple(found)


def agent_id(value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,20}", value):
        raise ValueError("must be the app's AgentId, a number")
    return value
