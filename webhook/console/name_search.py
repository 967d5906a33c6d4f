"""Searches for a customer's name: kept in Redis under a token, so that no address and no log holds the name."""

import re
import secrets

from tasks.ledger.by_name import Named
from tasks.storage import keys, replies
from tasks.storage.connections import Redis
from webhook.console.search import LONGEST, Search

LIFE = 1800  # seconds after its last use
_TOKEN = re.compile("[0-9a-f]{16}")


def keep(client: Redis, text: str) -> str:
    """The token for a search."""
    token = secrets.token_hex(8)
    client.set(keys.name_search(token), text[:LONGEST], ex=LIFE)
    return token


def kept(client: Redis, token: str) -> str | None:
    """What a token stands for; None: it is none, or has ended."""
    if not _TOKEN.fullmatch(token):
        return None
    return replies.text_or_none(client.getex(keys.name_search(token), ex=LIFE))


def named(text: str) -> Named:
    """A search as the ledger takes it."""
    search = Search(text)
    return Named(search.finds, *search.hint())
