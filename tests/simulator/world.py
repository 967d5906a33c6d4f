"""WeCom's state: corps and their apps, tokens, members, customers, media."""

import base64
import os
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.simulator.faults import Dice, Faults, RateLimits
from tests.simulator.records import Record, Records, Summary

Pair = tuple[str, str]  # (member, customer)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class App:
    """One self-built app: what its owner copies from the admin console into the product's settings."""

    name: str = "default"
    corp_id: str = "ww0000000000000000"
    secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    encoding_aes_key: str = field(default="", repr=False)
    callback_url: str = ""  # "": nothing is pushed
    agent_id: str = "1000002"

    @classmethod
    def random(cls, name: str = "default", callback_url: str = "", corp_id: str = "") -> "App":
        """An app with new random credentials."""
        return cls(
            name=name,
            corp_id=corp_id or f"ww{secrets.token_hex(8)}",
            secret=secrets.token_urlsafe(32),
            token=secrets.token_hex(16),
            encoding_aes_key=base64.b64encode(os.urandom(32), altchars=b"Aa").decode()[:43],
            callback_url=callback_url,
        )

    def environment(self, api_base: str) -> dict[str, str]:
        """The product's environment variables for this app, with the stand-in at `api_base`."""
        return {
            "WECOM_CORP_ID": self.corp_id,
            "WECOM_CORP_SECRET": self.secret,
            "WECOM_TOKEN": self.token,
            "WECOM_ENCODING_AES_KEY": self.encoding_aes_key,
            "WECOM_API_BASE": api_base,
        }


@dataclass(frozen=True, slots=True)
class Settings:
    window_s: float = 20  # a welcome code's life, from the first push of its event
    token_life_s: float = 7200
    media_life_s: float = 3 * 86400  # doc 90253
    clock_s: float = 0  # seconds that WeCom's clock is ahead of this machine's


@dataclass(slots=True)
class Token:
    value: str
    app: App
    expires_at: float
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Media:
    type: str
    filename: str
    content: bytes = field(repr=False)
    created_at: float = 0


@dataclass(slots=True)
class Corp:
    """The state shared by all apps of a corp."""

    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    customers: dict[str, dict[str, Any]] = field(default_factory=dict)
    relations: dict[str, dict[str, Record]] = field(default_factory=dict)  # customer → member → the add's record
    greeted: dict[Pair, float] = field(default_factory=dict)  # → since when; removed with the contact
    media: dict[str, Media] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)  # URLs from media/uploadimg
    shelves: dict[type, Any] = field(default_factory=dict)  # the state of each API subject, see `of`

    def of(self, kind: type[T]) -> T:
        """This corp's instance of `kind`, such as its tags; an empty one at first."""
        if kind not in self.shelves:
            self.shelves[kind] = kind()
        shelf: T = self.shelves[kind]
        return shelf

    def name_member(self, user_id: str, **fields: Any) -> None:
        default = {"userid": user_id, "name": user_id, "alias": "", "position": "", "department": [1], "status": 1}
        self.members[user_id] = {**default, **self.members.get(user_id, {}), **fields}

    def name_customer(self, external_user_id: str, **fields: Any) -> None:
        default = {"external_userid": external_user_id, "name": f"客户{external_user_id[-4:]}", "type": 1, "gender": 0}
        self.customers[external_user_id] = {**default, **self.customers.get(external_user_id, {}), **fields}

    def meet(self, record: Record) -> None:
        """Record that member and customer became contacts or, for changes that start with del_, no longer are."""
        if record.change == "transfer_fail":  # they are as they were
            return
        pair = record.user_id, record.external_user_id
        if record.change.startswith("del_"):
            self.relations.get(record.external_user_id, {}).pop(record.user_id, None)
            self.greeted.pop(pair, None)
            return
        if record.user_id not in self.members:
            self.name_member(record.user_id)
        if record.external_user_id not in self.customers:
            self.name_customer(record.external_user_id)
        self.relations.setdefault(record.external_user_id, {})[record.user_id] = record


class World:
    """The whole state of the stand-in."""

    def __init__(self, settings: Settings, faults: Faults, members: Mapping[str, str] | None = None) -> None:
        """`members`: whom each corp has from the start, userid → name."""
        self.settings = settings
        self.members = dict(members or {})
        self.dice = Dice(faults)
        self.limits = RateLimits(faults)
        self.apps: dict[str, App] = {}
        self.base_url = ""  # where the stand-in listens
        self.reset()

    def reset(self) -> None:
        """Forget everything but apps, settings and faults."""
        self.corps: dict[str, Corp] = {app.corp_id: self._corp() for app in self.apps.values()}
        self.records = Records()
        self.tokens: dict[str, Token] = {}
        self.current: dict[str, Token] = {}  # app → the token that gettoken gives
        self.token_fetches: Counter[str] = Counter()
        self.token_refusals = 0
        self.shelves: dict[type, Any] = {}

    def of(self, kind: type[T]) -> T:
        """The instance of `kind` that belongs to no corp, such as the group robots; an empty one at first."""
        if kind not in self.shelves:
            self.shelves[kind] = kind()
        shelf: T = self.shelves[kind]
        return shelf

    def register(self, app: App) -> None:
        self.apps[app.name] = app
        if app.corp_id not in self.corps:
            self.corps[app.corp_id] = self._corp()
        self.current.pop(app.name, None)

    def _corp(self) -> Corp:
        corp = Corp()
        for user_id, name in self.members.items():
            corp.name_member(user_id, name=name)
        return corp

    def corp(self, app: App) -> Corp:
        return self.corps[app.corp_id]

    def token_of(self, app: App, now: float) -> Token:
        """The app's token: the same one as long as it is valid. Doc 91039."""
        self.token_fetches[app.name] += 1
        token = self.current.get(app.name)
        if token is None or token.revoked or token.expires_at <= now:
            token = Token(secrets.token_urlsafe(96), app, now + self.settings.token_life_s)
            self.tokens[token.value] = self.current[app.name] = token
        return token

    def revoke(self, value: str | None = None) -> int:
        """Revoke one token, or all. → how many."""
        tokens = list(self.tokens.values()) if value is None else [self.tokens[value]] if value in self.tokens else []
        for token in tokens:
            token.revoked = True
        return len(tokens)

    def kill_media(self, ids: list[str] | None = None) -> int:
        """Expire material early: these ids, or all. → how many."""
        killed = 0
        for corp in self.corps.values():
            for media_id in list(corp.media) if ids is None else ids:
                killed += corp.media.pop(media_id, None) is not None
        return killed

    def living(self, app: App, media_id: str, now: float | None = None) -> Media | None:
        media = self.corp(app).media.get(media_id)
        now = time.time() if now is None else now
        return media if media is not None and now - media.created_at < self.settings.media_life_s else None

    def summary(self) -> Summary:
        return self.records.summary(self.settings.window_s, self.token_fetches, self.token_refusals)
