"""Builders of the values that tests start from: a plain value, with the one difference that the test is about."""

import secrets
import time
from pathlib import Path
from typing import Any

from tasks.events import ContactAdded
from tasks.ledger.claims import Claim
from tasks.ledger.delivery import Delivery, Outcome
from tasks.reasons import Kind, Reason
from tasks.settings import Settings, read

CORP = "wx5823bf96d3bd56c7"
AES_KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
ENVIRONMENT = {
    "WECOM_CORP_ID": CORP,
    "WECOM_CORP_SECRET": "secret-of-the-app",
    "WECOM_TOKEN": "QDG6eK",
    "WECOM_ENCODING_AES_KEY": AES_KEY,
}
BOOK = """\
version: 1
templates:
  default:
    text: "您好{customer}，我是{member}，很高兴认识您！"
rules:
  - use: default
"""
PLAIN_BOOK = BOOK.replace("您好{customer}，我是{member}，很高兴认识您！", "您好，很高兴认识您！")


def a_contact(**different: Any) -> ContactAdded:
    """An event of a customer who was just added, different from all before."""
    values: dict[str, Any] = {
        "app": "default",
        "corp_id": CORP,
        "change": "add",
        "user_id": "zhangsan",
        "external_user_id": f"wm{secrets.token_hex(8)}",
        "created_at": int(time.time()),
        "welcome_code": secrets.token_urlsafe(32),
    }
    return ContactAdded(**values | different)


def a_claim(event: ContactAdded | None = None, **different: Any) -> Claim:
    """A new claim on an event that was just received."""
    values: dict[str, Any] = {
        "event": event or a_contact(),
        "fencing_token": 1,
        "attempts": 0,
        "answers": 0,
        "received_at": int(time.time() * 1000),
        "revision": 1,
        "claimed_at": time.monotonic(),
        "age": 0.0,
        "window": 20.0,
    }
    return Claim(**values | different)


def a_delivery(outcome: str | None = "sent", **different: Any) -> Delivery:
    """The settled delivery of a customer who was added a second ago."""
    now = int(time.time())
    values: dict[str, Any] = {
        "id": "3f9a",
        "app": "default",
        "corp_id": CORP,
        "change": "add",
        "user_id": "zhangsan",
        "external_user_id": "wm1",
        "state": "",
        "created_at": now - 1,
        "received_ms": now * 1000,
        "outcome": None if outcome is None else Outcome(outcome),
    }
    return Delivery(**values | different)


def in_words(text: str) -> Reason:
    """A reason as an earlier release stored it."""
    return Reason.of(Kind.TEXT, text=text)


def answered(errcode: int, errmsg: str = "said WeCom") -> Reason:
    """The reason for WeCom's answer with an errcode."""
    return Reason.of(Kind.WECOM_ERROR, errcode=errcode, errmsg=errmsg)


def some_settings(directory: Path = Path("/nonexistent"), **variables: str) -> Settings:
    """Settings of one app, with these additional variables."""
    return read(ENVIRONMENT | variables, directory)
