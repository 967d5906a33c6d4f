from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.services import Services, build_services
from tasks.settings import read
from tests.support.receiver import SECRET, Receiver, receiver

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


@pytest.fixture
def receives() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def other() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def an_installation(redis_url: str, folder: Path, *targets: tuple[str, str, str], **variables: str) -> Services:
    """`targets`: (app, URL, more lines of its table)."""
    text = "".join(APP.format(name=name, key="a" * 43) for name in dict.fromkeys(name for name, _, _ in targets))
    text += "".join(FORWARD.format(name=name, url=url, secret=SECRET, more=more) for name, url, more in targets)
    (folder / "apps.toml").write_text(text, encoding="utf-8")
    return build_services(read({"WELCOME_CONFIG": "apps.toml", "REDIS_URL": redis_url, **variables}, folder))
