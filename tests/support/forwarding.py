"""An installation that forwards its events, and events that failed on their way."""

from pathlib import Path

from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.reasons import Reason
from tasks.services import Services, build_services
from tasks.settings import read
from tasks.storage import keys
from tasks.wecom.errors import Failure, NotSent
from tests.support.ledger import settled
from tests.support.receiver import SECRET

HOST = "crm.example.com"
APP = """
[apps.{name}]
corp_id = "ww0123456789abcdef"
secret = "secret"
token = "token"
encoding_aes_key = "{key}"
"""
FORWARD = """
[[apps.{name}.forward]]
url = "{url}"
secret = "{secret}"
{more}
"""


def an_installation(redis_url: str, folder: Path, *targets: tuple[str, str, str], **variables: str) -> Services:
    """`targets`: (app, URL, more lines of its table)."""
    text = "".join(APP.format(name=name, key="a" * 43) for name in dict.fromkeys(name for name, _, _ in targets))
    text += "".join(FORWARD.format(name=name, url=url, secret=SECRET, more=more) for name, url, more in targets)
    (folder / "apps.toml").write_text(text, encoding="utf-8")
    return build_services(read({"WELCOME_CONFIG": "apps.toml", "REDIS_URL": redis_url, **variables}, folder))


def failed(services: Services) -> str:
    """The id of an event whose first try failed."""
    event = settled(services.ledger, Settlement(Outcome.SENT), app="sales")
    store = services.forwards
    store.route()
    (target,) = store.status("sales")
    (entry,) = store.claim("sales", target, 1)
    store.failed(entry, Reason.from_error(NotSent("x", Failure.CONNECTION_REFUSED)), unwell=True)
    return event.id


def given_up(services: Services) -> str:
    """The id of an event that was given up."""
    identity = failed(services)
    (target,) = services.forwards.status("sales")
    services.redis.hincrby(keys.forward_entry("sales", target, identity), "at", -86_401_000)
    services.redis.zadd(
        keys.forward_due("sales", target),
        dict.fromkeys(services.redis.zrange(keys.forward_due("sales", target), 0, -1), 0),
    )
    (entry,) = services.forwards.claim("sales", target, 1)
    services.forwards.parked(entry)
    return identity
