"""Channels: the 联系我 QR codes that an app made, each with its State. Doc 92572.

WeCom's console does not show codes that were made through the API, and without its config_id a code can be neither
changed nor deleted: so they are stored here.

    welcome:channel:APP                     hash: name → JSON of the channel
    welcome:channel-picture:APP:CONFIG_ID   the code's image in base64, for PICTURE_LIFE seconds

rule_for(book, state)         the first rule of a book with a condition on a State                           [pure]
picture(url, by)              the code's image, fetched from the URL that WeCom gave
"""

import base64
import json
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any

import redis

from tasks.storage import keys, replies
from tasks.storage.connections import Redis
from tasks.templates.media_kind import sniff
from tasks.templates.model import Book
from tasks.wecom import WeComClient
from tasks.wecom.calls import Answer
from tasks.wecom.errors import Failure, InvalidRequest, Unanswered
from tasks.wecom.proxy import Proxy
from tasks.wecom.transport import fetch

NAME_LIMIT = STATE_LIMIT = 30  # characters, doc 92572
SINGLE, SEVERAL = 1, 2  # WeCom's `type`
QR_CODE = 2  # WeCom's `scene`
FIRST_LISTED = 1625846400  # 2021-07-10 in Shanghai: WeCom does not list older codes
PICTURE_LIMIT = 2 << 20  # bytes; a code has some kilobytes
PICTURE_KINDS = ("PNG", "JPG")
_LATE = (Failure.NO_TIME_LEFT, Failure.CONNECT_TIMEOUT, Failure.ANSWER_TIMEOUT)
PICTURE_LIFE = 7 * 86400  # seconds for which an image is cached
PICTURE_KEPT = 128 << 10  # bytes; a larger image is fetched each time


class ChannelError(Exception):
    """It cannot be done; the message says what to do."""


class NoChannel(ChannelError):
    """There is no channel of this name."""


class StateTaken(ChannelError):
    """There is another channel of this name."""


class OfOneMember(ChannelError):
    """A code that was made for one member cannot be changed to several."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A code that was made here. `qr_code`: its image's URL. `at`: Unix seconds."""

    name: str
    state: str
    config_id: str
    type: int
    members: tuple[str, ...] = ()
    departments: tuple[int, ...] = ()
    skip_verify: bool = True
    qr_code: str = ""
    at: int = 0

    @property
    def digest(self) -> str:
        """16 hex digits over all fields: to detect that another session has changed it meanwhile."""
        return sha256(_stored(self).encode()).hexdigest()[:16]

    @classmethod
    def read(cls, text: str) -> "Channel":
        """From stored JSON. ValueError or TypeError for anything else."""
        values = json.loads(text)
        return cls(
            **values
            | {"members": tuple(values.get("members", ())), "departments": tuple(values.get("departments", ()))}
        )


# ------------------------------------------------------------------------------------------------ the State's rule


@dataclass(frozen=True, slots=True)
class Found:
    """The first rule with a condition on a State. `hidden_by`: an earlier rule that always holds; "" for none."""

    rule: str
    further: tuple[str, ...] = ()  # conditions besides the State
    hidden_by: str = ""


def rule_for(book: Book, state: str) -> Found | None:
    """The first rule of a book that has a condition on this State; None if there is none."""
    hidden_by = ""
    for number, rule in enumerate(book.rules, 1):
        if any(fnmatchcase(state, pattern) for pattern in rule.when.state):
            further = [name for name in rule.when.__slots__ if name != "state" and getattr(rule.when, name)]
            return Found(rule.label(number), tuple(further), hidden_by)
        if rule.when.always and not hidden_by:
            hidden_by = rule.label(number)
    return None


# ------------------------------------------------------------------------------------------------ the channels


class Channels:
    """The channels of one app: in Redis, and at WeCom. Raises redis.RedisError, WeComError, ChannelError."""

    def __init__(self, client: Redis, app: str, wecom: WeComClient) -> None:
        self._redis = client
        self._key = keys.channels(app)
        self._app = app
        self._wecom = wecom
        self._calls = wecom.external_contact

    def with_deadline(self, by: float) -> "Channels":
        """The same, with every call to WeCom finished by `by`, a time of `time.monotonic`."""
        return Channels(self._redis, self._app, self._wecom.with_deadline(by))

    def all(self) -> dict[str, Channel]:
        """Name → channel, sorted by name."""
        found = {}
        for name, text in sorted(replies.fields(self._redis.hgetall(self._key)).items()):
            try:
                found[name] = Channel.read(text)
            except (ValueError, TypeError, AttributeError):
                raise ChannelError(f"what is stored of channel {name} cannot be read; restore a backup") from None
        return found

    def get(self, name: str) -> Channel:
        known = self.all()
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "there is none; `channels create` makes one"
            raise NoChannel(f"no channel {name}; {there}")
        return known[name]

    def create(
        self, name: str, state: str, members: tuple[str, ...], departments: tuple[int, ...], skip_verify: bool
    ) -> Channel:
        """Create a code at WeCom and store it. `state` "": a random one."""
        known = self.all()
        if name in known:
            raise StateTaken(f"there is a channel {name} already; choose another name, or use `channels update`")
        if not members and not departments:
            raise ChannelError("a code leads to somebody: give --member or --department")
        state = state or f"ch-{secrets.token_hex(4)}"
        kind = SINGLE if len(members) == 1 and not departments else SEVERAL
        answer = self._calls.add_contact_way(
            type=kind,
            scene=QR_CODE,
            remark=name,
            state=state,
            user=list(members) or None,
            party=list(departments) or None,
            skip_verify=skip_verify,
        )
        config_id = answer.get("config_id")
        if not isinstance(config_id, str) or not config_id:
            raise ChannelError(
                f"WeCom answered without the code's config_id, so nothing is kept here; it may have made the code: "
                f"look in WeCom's list for one with the State {state}, then try again"
            )
        channel = Channel(
            name=name,
            state=state,
            config_id=config_id,
            type=kind,
            members=members,
            departments=departments,
            skip_verify=skip_verify,
            qr_code=str(answer.get("qr_code") or ""),
            at=int(time.time()),
        )
        if not self._keep(name, _stored(channel)):
            self._calls.del_contact_way(channel.config_id)
            raise StateTaken(f"somebody has just made a channel {name}; choose another name")
        return channel

    def _keep(self, name: str, stored: str) -> bool:
        """False: another channel has the name. What is there after a lost answer says whose it is."""
        try:
            return bool(self._redis.hsetnx(self._key, name, stored))
        except (redis.ConnectionError, redis.TimeoutError):
            if replies.text_or_none(self._redis.hget(self._key, name)) == stored:
                return True
            raise

    def update(
        self,
        name: str,
        new_name: str | None = None,
        state: str | None = None,
        members: tuple[str, ...] = (),
        departments: tuple[int, ...] = (),
        skip_verify: bool | None = None,
    ) -> Channel:
        """Change a code; arguments not given leave it as it is. Members and departments given replace the old ones."""
        old = self.get(name)
        new_name = new_name or name
        if new_name != name and new_name in self.all():
            raise StateTaken(f"there is a channel {new_name} already; choose another name")
        new = replace(
            old,
            name=new_name,
            state=old.state if state is None else state,
            members=members or (() if departments else old.members),
            departments=departments or (() if members else old.departments),
            skip_verify=old.skip_verify if skip_verify is None else skip_verify,
        )
        if old.type == SINGLE and (len(new.members) != 1 or new.departments):
            raise OfOneMember("this code was made for one member, and WeCom keeps it so; create another channel")
        self._calls.update_contact_way(
            new.config_id,
            new.name,
            skip_verify=new.skip_verify,
            state=new.state,
            user=list(new.members),
            party=list(new.departments) if new.type == SEVERAL else None,
        )
        with self._redis.pipeline() as pipe:
            pipe.hset(self._key, new.name, _stored(new))
            if new.name != name:
                pipe.hdel(self._key, name)
            pipe.execute()
        return new

    def delete(self, name: str, here_only: bool = False) -> Channel:
        """Delete a code: who scans it from then on reaches nobody. `here_only`: WeCom keeps it."""
        channel = self.get(name)
        if not here_only:
            self._calls.del_contact_way(channel.config_id)
        with self._redis.pipeline() as pipe:
            pipe.hdel(self._key, name)
            pipe.delete(keys.channel_picture(self._app, channel.config_id))
            pipe.execute()
        return channel

    def at_wecom(self, config_id: str) -> Mapping[str, Any]:
        """A code's contact way as WeCom has it."""
        return _way(self._calls.get_contact_way(config_id))

    def listed(self) -> list[str]:
        """The config_ids of all codes that WeCom lists: those made through the API, by any app."""
        now = int(time.time())
        ways = self._calls.iter_list_contact_way(start_time=FIRST_LISTED, end_time=now, limit=1000)
        return [way["config_id"] for way in ways]

    def kept_pictures(self, channels: Iterable[Channel]) -> dict[str, bytes]:
        """config_id → the code's image, for the cached ones. Does not call WeCom."""
        ids = [channel.config_id for channel in channels]
        kept = self._redis.mget([keys.channel_picture(self._app, one) for one in ids]) if ids else []
        return {one: base64.b64decode(text) for one, text in zip(ids, kept, strict=True) if text}

    def picture(self, channel: Channel, by: float) -> bytes:
        """The code's image, PNG or JPG; cached after the first fetch. `by`: see `picture`."""
        kept = self.kept_pictures([channel])
        if kept:
            return kept[channel.config_id]
        content, _ = picture(channel.qr_code, by, self._wecom.proxy)
        if len(content) <= PICTURE_KEPT:
            encoded = base64.b64encode(content).decode()
            self._redis.set(keys.channel_picture(self._app, channel.config_id), encoded, ex=PICTURE_LIFE)
        return content


def _stored(channel: Channel) -> str:
    return json.dumps(asdict(channel), ensure_ascii=False)


def _way(answer: Answer) -> Mapping[str, Any]:
    """The contact way of an answer; it has been reported to come as a list."""
    way = answer.get("contact_way") or {}
    if isinstance(way, list):
        way = way[0] if way else {}
    return way if isinstance(way, Mapping) else {}


# ------------------------------------------------------------------------------------------------ the picture


def picture(url: str, by: float, proxy: Proxy | None = None) -> tuple[bytes, str]:
    """(content, "PNG" or "JPG") of a code's image, whole by `by`, a time of `time.monotonic`. Raises ChannelError."""
    try:
        response = fetch(url, by=by, limit=PICTURE_LIMIT, proxy=proxy)
    except InvalidRequest:
        raise ChannelError("WeCom gave no address of the code's image") from None
    except Unanswered as error:
        if error.failure is Failure.TOO_LARGE:
            what = f"what WeCom gives as the code's image has more than {PICTURE_LIMIT >> 20} MB"
        elif error.failure in _LATE:
            what = "the code's image did not come in time"
        else:
            what = f"the code's image cannot be had: {error.reason}"
        raise ChannelError(what) from None
    if response.status != 200:
        raise ChannelError(f"the code's image cannot be had: HTTP {response.status}")
    kind = sniff(response.body)
    if kind not in PICTURE_KINDS:
        raise ChannelError(f"what WeCom gives as the code's image is {kind}")
    return response.body, kind
