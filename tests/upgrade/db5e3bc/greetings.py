"""Every way in which a greeting of db5e3bc ends. A row's customer is `wm-` and the name of its scene."""

import socket
import time
from contextlib import ExitStack
from dataclasses import replace

from front import CUT, GATEWAY, HANG, PAGE, SPENT_THEN_CUT, after
from installation import BARE, BOOK, CORP, MEDIA, OPERATOR, SEND, SIMPLE, Installation, until

from tasks import policy, state
from tasks.assembly import assemble
from tasks.events import ContactAdded
from tasks.lanes import WELCOME, Lanes
from tasks.ledger import Settlement
from tasks.media import Keeper
from tasks.wecom.errors import InvalidRequest
from tests.processes import RedisServer

BUSY, LIMITED, RACING = (-1, "system busy"), (45009, "api freq out of limit"), (41096, "welcome is being sent")
TOKEN_DEAD = (40014, "invalid access_token")
LINK_REFUSED = (40058, "invalid Request Parameter, link.url")


def restored(old: Installation) -> None:
    """A row that was unfinished when a backup was made, and the backup was restored here."""
    with RedisServer(old.folder / "other") as server:
        other = assemble(old.settings(REDIS_URL=server.url))
        now = int(time.time())
        event = ContactAdded("default", CORP, "add", "zhangsan", "wm-unfinished", now, "code-of-unfinished")
        other.ledger.accept(event)
        state.backup(other.redis, old.folder / "other.zip")
    state.restore(old.redis, old.folder / "other.zip")


def books(old: Installation) -> None:
    """A book with a history: saved, replaced, rolled back, and replaced again."""
    old.scene("no-book", state="plain")
    old.finish()
    store = old.parts().books
    store.save("default", SIMPLE, author="王芳", note="第一版")
    store.save("default", BOOK, MEDIA, author=OPERATOR, note="全部")
    store.rollback("default", 1, author="王芳")
    store.save("default", BOOK.replace('认识您！"}\n  names', '认识你！"}\n  names'), MEDIA, author=OPERATOR)
    store.save("bare", BARE, author=OPERATOR)
    store.save("later-gone", BARE, author=OPERATOR)


def people(old: Installation) -> None:
    old.wecom.people(
        members={"zhangsan": {"name": "张三", "department": [3]}, "lisi": {"name": "李四", "department": [4]}},
        customers={"wm-sent-with-names": {"name": "王小明"}},
        departments={1: {"name": "示例公司"}, 3: {"name": "东区", "parentid": 1}, 4: {"name": "西区", "parentid": 1}},
    )


def upload(old: Installation) -> None:
    """Media at WeCom, and media that does not get there."""
    old.front.script("media/upload", 'filename="broken.mp4"', (40011, "invalid video size"), always=True)
    old.front.script("media/upload", 'filename="lost.mp4"', CUT, always=True)
    parts = old.parts()
    keeper = Keeper(parts.redis, parts.books, parts.settings.apps, parts.clients)

    def noted() -> bool:
        keeper.look()
        records = parts.books.ready.all(CORP).values()
        return len(records) >= 6 and all(one.value or one.failures >= 2 for one in records)

    until(noted)
    keeper.stop()


def sent(old: Installation) -> None:
    old.scene("sent")
    old.scene("sent-with-names", state="names")
    old.scene("sent-with-everything", state="brochure")
    old.scene("sent-variant-1", state="ab-1")
    old.scene("sent-variant-2", state="ab-2")
    old.scene("sent-east", state="east-2")
    old.scene("sent-half-add", change="half_add")
    old.scene("sent-audit-approved", change="audit_approved")
    old.scene("sent-without-refused", LINK_REFUSED, state="link")
    old.scene("sent-without-absent", state="video")
    old.scene("sent-without-both", LINK_REFUSED, state="both")
    old.scene("sent-on-try-3", BUSY, PAGE)
    old.scene("sent-on-try-4", GATEWAY, CUT, (45033, "concurrent limit"))
    old.scene("sent-after-silence", HANG)
    old.scene("sent-after-dead-tokens", TOKEN_DEAD, TOKEN_DEAD)
    old.scene("sent-after-limit", LIMITED)
    old.scene("sent-after-race", RACING)
    event = old.accept("sent-by-second-worker")
    old.claimed()
    old.lease_ends(event)
    old.greet(old.claimed())
    old.finish()
    old.redis.delete(*old.redis.keys("wecom:token:*"))
    end = old.front.script("gettoken", "", after(0.3, "pass"))
    assert old.parts(19).clients["default"]  # a process that has no token yet
    old.scene("sent-after-token", window=19)
    old.finish()
    end()


def doubtful(old: Installation) -> None:
    """unconfirmed, lost, no_code, no_template, stale, dead."""
    old.scene("unconfirmed-41050", SPENT_THEN_CUT)
    old.scene("unconfirmed-41051", CUT, (41051, "already chatting"))
    old.scene("unconfirmed-race", CUT, *[RACING] * 9, window=4)
    old.scene("lost", (41051, "already chatting"))
    old.scene("lost-race", RACING, always=True, window=3)
    for change in ("add", "half_add", "audit_approved"):
        old.scene(f"no-code-{change}", welcome_code="", change=change)
    old.scene("stale", created_at=int(time.time()) - 1200)
    old.finish()
    event = old.accept("dead-at-once")
    for _ in range(7):
        old.claimed()
        old.lease_ends(event)
    old.greet(old.claimed())
    old.finish()


def refused(old: Installation) -> None:
    codes = {41050: "invalid welcome_code", 48002: "api forbidden", 60020: "not allow to access from your ip"}
    codes |= {41054: "not activated", 40098: "no real name", 45002: "content size out of limit", 99999: "something new"}
    codes |= {40001: "invalid credential", 40063: "some parameters are empty", 84074: "no permission"}
    codes |= {40007: "invalid media_id", 41049: "missing welcome_code", 84061: "not external contact"}
    for code, errmsg in codes.items():
        old.scene(f"refused-{code}", (code, errmsg))
    old.scene("refused-40058", (40058, "invalid Request Parameter, text"))
    old.scene("refused-without-attachments", LINK_REFUSED, (40033, "invalid request chars"), state="link")
    old.scene("refused-unknown-app", app="gone", known=False)
    old.finish()


def unreachable(old: Installation) -> None:
    """Two ends that no book of this release comes to, since it is refused; told by the policy's own words."""
    steps = {"started": 9, "chosen": 11}
    event = old.accept("no-rule")
    old.claimed()
    nothing = Settlement("no_template", "no rule of the welcome book applies", revision=4, attempts=1, steps=steps)
    old.parts().ledger.settle(event, nothing)
    event = old.accept("refused-here")
    old.claimed()
    error = InvalidRequest(SEND, "text.content", "4003 bytes of UTF-8", "at most 4000")
    settlement = policy.after_try(error, 1, False, 19.0, 0.5)
    assert isinstance(settlement, Settlement)
    steps |= {"named": 12, "prepared": 13, "try_1": 14, "answer_1": 15}
    told = {"template": "plain", "rule": "12", "revision": 4, "attempts": 1, "tries": [(None, error.reason)]}
    old.parts().ledger.settle(event, replace(settlement, steps=steps, **told))  # type: ignore[arg-type]


def failed(old: Installation) -> None:
    """Every reason for which WeCom could not be reached."""
    old.scene("failed-busy", BUSY, always=True, window=3)
    old.scene("failed-limited", LIMITED, always=True, window=3)
    old.scene("failed-dead-tokens", TOKEN_DEAD, always=True, window=2)
    old.scene("failed-page", PAGE, always=True, window=2)
    old.scene("failed-gateway", GATEWAY, always=True, window=2)
    old.scene("failed-cut", CUT, always=True, window=2)
    old.scene("failed-silence", HANG, always=True, window=2)
    old.scene("failed-in-doubt-then-busy", CUT, *[BUSY] * 20, window=3)
    old.scene("failed-no-time", after(2.72, TOKEN_DEAD), window=3.1)
    old.scene("failed-no-address", base="http://wecom.invalid", window=3)
    old.scene("failed-no-tls", base=old.front.url.replace("http:", "https:"), window=2)
    with ExitStack() as ports:
        nobody = ports.enter_context(socket.socket())
        nobody.bind(("127.0.0.1", 0))
        full = ports.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = ports.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        old.scene("failed-refused", base=f"http://127.0.0.1:{nobody.getsockname()[1]}", window=2)
        old.scene("failed-no-connection", base=f"http://127.0.0.1:{full.getsockname()[1]}", window=4)
        old.finish()
    end = old.front.script("gettoken", "later-gone", HANG, always=True)
    for number in (1, 2):  # one fetches, the other waits for it
        old.scene(f"failed-token-{number}", app="later-gone", known=False, window=3.2)
    old.finish()
    end()
    end = old.front.script("gettoken", "later-gone", {"errcode": 0, "errmsg": "ok"}, always=True)
    old.scene("failed-no-token", app="later-gone", known=False, window=2)
    old.finish()
    end()


def late(old: Installation) -> None:
    """expired, and what else a window that is over makes."""
    end = old.front.script("user/get", "", HANG, always=True)
    old.redis.delete("welcome:member:default:lisi")
    old.scene("expired-names", state="names", user_id="lisi", window=2)
    old.finish()
    old.scene("expired-choice", state="east", user_id="lisi", window=2)
    old.finish()
    event = old.accept("unconfirmed-names", state="names", user_id="lisi")
    old.claimed()
    old.lease_ends(event)
    old.greet(old.claimed(2), 2)
    old.finish()
    end()
    dead = old.accept("dead-in-the-end")
    for _ in range(4):
        old.claimed()
        old.lease_ends(dead)
    old.claimed()
    died = old.accept("unconfirmed-died")
    old.claimed()
    tried = old.accept("expired-tries")
    old.parts().ledger.answered(old.claimed(), 0)
    old.accept("expired-queue", state="douyin-1")
    time.sleep(20)
    for event in (dead, died, tried):
        old.lease_ends(event)
    for claim in old.parts().ledger.claim(10):
        old.greet(claim)
    old.finish()
    lanes = Lanes(old.redis)
    lanes.pause(WELCOME, OPERATOR)
    old.accept("expired-paused")
    time.sleep(20)
    lanes.resume(WELCOME, "王芳")
    old.greet(old.claimed())
    old.finish()


def others(old: Installation) -> None:
    """A rehearsal, one who was greeted later, and media that died."""
    whom = ("default", CORP, "add", "zhangsan", "wm-rehearsed", int(time.time()))
    event = ContactAdded(*whom, state="brochure", rehearsal=True)
    old.parts().ledger.accept(event)
    old.greet(old.claimed())
    first = old.scene("greeted-later", (48002, "api forbidden"))
    old.finish()
    old.front.script(SEND, '"code-of-the-second-add"')
    old.accept("the-second-add", external_user_id=first.external_user_id, created_at=first.created_at + 1)
    old.greet(old.claimed())
    old.finish()
    old.scene("sent-without-dead-media", (40007, "invalid media_id"), state="brochure")
    old.finish()
