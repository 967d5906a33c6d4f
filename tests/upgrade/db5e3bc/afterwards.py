"""What db5e3bc keeps beside the greetings: follow-ups, work list, comparison, groups, channels, draft, and the rest."""

import contextlib
import time
from urllib.parse import quote

import redis
import requests
from front import CUT, HANG
from installation import CORP, KEY, MEDIA, OPERATOR, PASSWORD, TOKEN, Installation, until

from tasks import comparison, connections, jobs, upkeep
from tasks.channels import Channels
from tasks.corp_tags import CorpTags
from tasks.group_welcomes import GroupSync
from tasks.lanes import FOLLOW_UPS, Lanes
from tasks.ledger.followups import Task
from tasks.ledger.rows import FOLLOWUP_DUE
from tasks.missed import WorkList
from tasks.reminders import Reminders
from tasks.templates.draft import Drafts
from tasks.templates.edits import AddRule, Part, SetNamed
from tests.signed_in import COOKIE, signed_in
from tests.webhook.pushes import Push, a_push, an_event, sealed, xml
from webhook import create_app
from webhook.console import rehearsed
from webhook.console.checkup import Checkup
from webhook.crypto import Envelope
from webhook.rehearsal import rehearse

MARK, NOTE = "externalcontact/mark_tag", "externalcontact/remark"
DAY = 86_400


def follow_ups(old: Installation) -> None:
    """Each way in which a follow-up ends or waits."""

    def one(name: str, state: str = "tagged", **different: object) -> Task:
        """A customer who was greeted, and the follow-up, claimed."""
        old.do_follow_ups()
        old.scene(name, state=state, **different)
        old.finish()
        (task,) = old.follow_ups()
        return task

    def do(name: str, *answers: object, path: str = MARK, **different: object) -> None:
        end = old.front.script(path, f'"wm-{name}"', *answers, always=True) if answers else None
        old.follow_up().do(one(name, **different))
        if end:
            end()

    do("follow-done")
    do("follow-done-tags", state="only-tagged")
    task = one("follow-done-kept")
    old.parts().clients["default"].external_contact.remark("zhangsan", "wm-follow-done-kept", remark="老朋友")
    old.follow_up().do(task)
    do("follow-failed", (40058, "invalid Request Parameter, tag"))
    do("follow-failed-remark", (40096, "invalid external userid"), path=NOTE)
    end = old.front.script(MARK, '"wm-follow-given-up"', (-1, "system busy"), always=True)
    task = one("follow-given-up")
    for _ in range(6):
        old.follow_up().do(task)
        task = _again(old, task)
    old.follow_up().do(task)
    end()
    task = one("follow-died")
    for _ in range(7):
        task = _again(old, task)
    old.follow_up().do(task)
    old.follow_up(clients={}).do(one("follow-failed-app", app="bare"))
    task = one("follow-failed-revision", app="bare")
    old.parts().books.save("bare", old.parts().books.source("bare", 1).replace("您好", "你好"))
    old.redis.delete("welcome:book:bare:1", "welcome:book:bare:1:about")
    old.follow_up(books=old.parts(18).books).do(task)  # a process that has not read it


def follow_ups_that_wait(old: Installation) -> None:
    """After all others: they are to be found waiting."""

    def one(name: str, state: str = "tagged", **different: object) -> Task:
        old.scene(name, state=state, **different)
        old.finish()
        return next(task for task in old.follow_ups() if task.event.external_user_id == f"wm-{name}")

    old.do_follow_ups()
    old.redis.delete(f"welcome:tags:{CORP}")
    old.redis.set(f"welcome:tags:{CORP}:lock", "another", px=12_000)
    old.follow_up().do(one("follow-waits-lock"))
    old.redis.delete(f"welcome:tags:{CORP}:lock")
    old.follow_up().do(one("follow-waits-for-add", change="half_add"))
    for name, answer in {"busy": (-1, "system busy"), "cut": CUT, "48002": (48002, "api forbidden")}.items():
        end = old.front.script(MARK, f'"wm-follow-waits-{name}"', answer, always=True)
        old.follow_up().do(one(f"follow-waits-{name}"))
        end()
    end = old.front.script("user/get", "", (60111, "userid not found"), always=True)
    old.redis.delete("welcome:member:default:wangwu")
    old.follow_up().do(one("follow-waits-member", state="member-remark", user_id="wangwu"))
    old.follow_up().do(one("follow-waits-department", state="east-1", user_id="wangwu", welcome_code=""))
    end()
    old.redis.delete("welcome:member:default:wangwu")
    away = connections.connect("unix:///nowhere/at/all", timeout=0.2)
    old.follow_up(tags=CorpTags(away)).do(one("follow-waits-redis"))


def _again(old: Installation, task: Task) -> Task:
    """Claimed anew, as if its time had come."""
    old.redis.zadd(FOLLOWUP_DUE, {task.id: 0}, xx=True)
    return next(one for one in old.follow_ups() if one.id == task.id)


def work_list(old: Installation) -> None:
    """Members who were told, or not; customers who were ticked off, never announced, or have a name."""
    parts = old.parts()
    names = [f"told-{one}" for one in ("sent", "by-itself", "sending", "unsure", "invalid", "unlicensed", "81013")]
    names += ["told-48002", "told-45009", "told-lost", "told-many", "ticked", "told-and-ticked", "ticked-and-back"]
    names += ["greeted-after-all"]
    ids = {}
    for name in names:
        member = "a|b" if name == "told-many" else f"member-{name}"
        ids[name] = old.scene(name, (48002, "api forbidden"), user_id=member).id
    old.finish()
    reminders, work = Reminders.of(parts, "default"), WorkList(parts.redis, "default")
    answers: dict[str, object] = {
        "unsure": CUT,
        "invalid": {"errcode": 0, "errmsg": "ok", "invaliduser": "member-told-invalid"},
        "unlicensed": {"errcode": 0, "errmsg": "ok", "unlicenseduser": "member-told-unlicensed"},
        "81013": (81013, "user & party & tag all invalid"),
        "48002": (48002, "api forbidden"),
        "45009": (45009, "api freq out of limit"),
    }
    for name, answer in answers.items():
        old.front.script("message/send", f"member-told-{name}", answer)
    others = ("told-sending", "told-lost", "told-by-itself")
    told = [name for name in names if name.startswith("told") and name not in others]
    for name in told:
        reminders.tell([ids[name]], OPERATOR)
    reminders.tell([ids["told-by-itself"]], "")
    reminders._marked(ids["told-sending"], OPERATOR, parts.ledger.now(), False)  # and its process died
    unreachable = Reminders.of(old.parts(20, "http://wecom.invalid"), "default")
    unreachable.tell([ids["told-lost"]], OPERATOR)
    reminders.switch_on(OPERATOR)
    now = parts.ledger.now()
    work.tick([ids["ticked"], ids["told-and-ticked"], ids["ticked-and-back"]], OPERATOR, now)
    work.untick([ids["ticked-and-back"]])
    again = old.accept("the-third-add", external_user_id="wm-greeted-after-all", user_id="member-greeted-after-all")
    assert again.external_user_id
    old.greet(old.claimed())
    old.finish()
    reminders.learn_names(time.monotonic() + 10)


def compared(old: Installation) -> None:
    """The nightly comparison: a good run, and later ones that have to wait; one whom `forget` erased."""
    now = int(time.time())
    old.redis.hset(comparison.STATE + "default", "begun_at", now - 5 * DAY)  # it has been here for five days
    for name in ("never-announced", "never-announced-ticked", "never-announced-forgotten"):
        whom = {"user_id": "zhangsan", "external_user_id": f"wm-{name}", "state": "douyin-1"}
        old.wecom.add(push=False, created_at=now - 7200, **whom)
    run = comparison.Comparison.of(old.parts(), "default")
    comparison.forget(old.redis, "wm-never-announced-forgotten")
    done = run.turn()
    assert done is not None
    assert done.found == 2, done
    work = WorkList(old.redis, "default")
    rows = work.page(limit=1000).rows
    work.tick([row.id for row in rows if row.external_user_id == "wm-never-announced-ticked"], OPERATOR, now * 1000)
    old.front.script("externalcontact/get_follow_user_list", "", (48002, "api forbidden"), CUT)
    for app in ("default", "bare"):
        again = comparison.Comparison.of(old.parts(), app)
        again.ask_for(OPERATOR)
        again.turn()


def groups(old: Installation) -> None:
    path = "externalcontact/group_welcome_template/add"
    old.front.script(path, "这一条被拒绝", (40058, "invalid Request Parameter, text"))
    old.front.script(path, "这一条没有回音", CUT)
    parts = old.parts()
    sync = GroupSync(parts.redis, parts.books, parts.settings.apps["default"], parts.clients["default"])
    sync.sync(check=sync.due())


def channels(old: Installation) -> None:
    ways = Channels(old.redis, "default", old.parts().clients["default"])
    first = ways.create("抖音一号", "douyin-1", ("zhangsan",), (), True)
    ways.create("东区", "", ("zhangsan", "lisi"), (3,), False)
    ways.picture(first, time.monotonic() + 5)


def draft(old: Installation) -> None:
    drafts = Drafts(old.redis, old.parts().books)
    held = drafts.hold("default", "春节.png", MEDIA["media/hello.png"] + b", drafted")
    value: dict[str, object] = {"text": "新年好{customer}", "attachments": [{"image": {"file": held.path}}]}
    drafts.change("default", SetNamed("template", "spring", value), "王芳")  # type: ignore[arg-type]
    rule: dict[str, object] = {"name": "spring", "when": {"dates": "2027-02-06..2027-02-12"}, "use": "spring"}
    drafts.change("default", AddRule(rule, 0), OPERATOR)  # type: ignore[arg-type]
    content, part = drafts.working("default").content, Part("template", "link")
    was = content.digest_of(content.part(part))  # type: ignore[arg-type]
    drafts.change("default", SetNamed("template", "link", {"text": "您好，这里是产品手册"}, was), "王芳")


def callbacks(old: Installation) -> None:
    """A refused callback of each kind, each at an app of its own."""
    client = create_app(old.parts()).test_client()

    def post(app: str, push: Push) -> None:
        client.post(f"/callback/{app}", query_string=dict(push.query), data=push.body, buffered=True)

    def from_(token: str = TOKEN, key: str = KEY, corp: str = CORP) -> Push:
        return a_push(xml(an_event(ToUserName=corp)), Envelope.of(token, key, corp))

    other = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
    client.get("/callback/no-query", buffered=True)
    good = from_()
    post("no-ciphertext", Push(good.query, b"<xml></xml>"))
    ours = Envelope.of(TOKEN, KEY, CORP)
    while "+" not in (made := sealed(b"1616140317555161061", ours))[1]:
        pass
    client.get("/callback/mangled", query_string={**made[0], "echostr": quote(made[1], safe="")}, buffered=True)
    post("other-key", from_(key=other))
    post("other-corp", from_(corp="wwANOTHERCORP"))
    post("neither", from_("anotherToken", other))
    post("other-token", from_("anotherToken"))
    post("other-token-and-corp", from_("anotherToken", corp="wwANOTHERCORP"))
    post("accepted", from_("anotherToken"))
    query, ciphertext = sealed(b"1616140317555161061", ours)
    client.get("/callback/accepted", query_string={**query, "echostr": ciphertext}, buffered=True)


def set_up(old: Installation) -> None:
    """The doctor's findings, good and bad; needs the web side for the rehearsal."""
    parts = old.parts()
    Checkup(parts)._examine(parts.settings.apps["default"])
    old.front.script("gettoken", "secret-of-mangled", (40001, "invalid credential"), always=True)
    Checkup(parts)._examine(parts.settings.apps["mangled"])
    app = parts.settings.apps["default"]
    began = time.time()
    sent = rehearse(app, f"{old.url}/callback", "zhangsan", "brochure")
    rehearsed.keep(old.redis, "default", rehearsed.Kept.of(sent, f"{old.url}/callback", OPERATOR, began))
    until(lambda: (parts.ledger.row(sent.event.id) or {}).get("outcome"))


def signed_out(old: Installation) -> None:
    """Somebody has signed out: a copy of the cookie opens nothing any more."""
    application = create_app(old.parts())
    cookie, token = signed_in(application.extensions["console"], OPERATOR, PASSWORD)
    client = application.test_client()
    client.set_cookie(COOKIE, cookie, path="/")
    assert client.post("/console/logout", data={"csrf_token": token}).status_code == 302


def schedule(old: Installation) -> None:
    """Each job ran once, and one of them failed."""
    parts = old.parts()
    for name in jobs.SCHEDULE:
        if name.endswith(("remind_members", "compare_customers", "sync_group_welcomes")):
            continue  # they would go on with what is to be found as it is
        with jobs.noted(old.redis, name):
            getattr(upkeep, name.rpartition(".")[2])(parts)
    with contextlib.suppress(redis.RedisError), jobs.noted(old.redis, "tasks.upkeep.compare_customers"):
        raise redis.ConnectionError


def real(old: Installation) -> None:
    """All four roles for a while: customers come through the callback, are greeted, and followed up; then kill -9."""
    old.redis.set("welcome:secret-key", "not-a-secret-of-the-console")
    old.start("web", "welcome", "upkeep", "beat")
    until(lambda: _is_up(old))
    for number in range(3):
        old.wecom.add(external_user_id=f"wm-real-{number}", welcome_code=f"code-of-real-{number}", state="only-tagged")
    until(lambda: old.wecom.status()["greeted"] >= 3)
    set_up(old)
    until(lambda: old.redis.zcard(FOLLOWUP_DUE) == 0)
    time.sleep(2.5)  # heartbeats, counters
    old.kill("beat", "upkeep", "welcome", "web")


def unfinished(old: Installation) -> None:
    """Events that wait, and events whose worker was killed: in the middle of a try, or between two."""
    send = "externalcontact/send_welcome_msg"
    old.front.script(send, "code-of-open-in-a-try", HANG)
    old.front.script(send, "code-of-open-in-doubt", "spent, then hang")
    old.front.script(send, "code-of-open-between-tries", (45009, "api freq out of limit"))

    def add(name: str, **event: object) -> None:
        customer, code = f"wm-{name}", f"code-of-{name}"
        old.wecom.add(**{"external_user_id": customer, "welcome_code": code, "user_id": "zhangsan", **event})

    old.start("web", "welcome")
    until(lambda: _is_up(old))
    greeted = old.wecom.status()["greeted"]
    add("follow-waiting", state="tagged")
    add("follow-waiting-2", state="only-tagged", user_id="lisi")
    until(lambda: old.wecom.status()["greeted"] >= greeted + 2)
    time.sleep(1.5)
    for name in ("open-in-a-try", "open-in-doubt", "open-between-tries"):
        add(name, state="tagged" if name == "open-in-a-try" else "")
    until(lambda: _attempts(old) >= 3)
    old.kill("welcome")
    time.sleep(5)  # their leases end
    add("open-late")
    add("open-waiting")
    add("open-variant", state="ab-3", user_id="lisi")
    add("open-half-add", change="add_half_external_contact", state="tagged-1")
    add("open-names", state="names")
    rehearse(old.parts().settings.apps["default"], f"{old.url}/callback", "zhangsan", "names")
    until(lambda: old.redis.zcard("welcome:due") >= 9)
    time.sleep(1.5)
    old.kill("web")
    Lanes(old.redis).pause(FOLLOW_UPS, OPERATOR)


def _is_up(old: Installation) -> bool:
    with contextlib.suppress(requests.RequestException):
        web = requests.get(f"{old.url}/readyz/intake", timeout=5).status_code == 200
        return web and time.time() - int(old.redis.get("welcome:consumed") or 0) / 1000 < 1
    return False


def _attempts(old: Installation) -> int:
    """Tries of the open ones that have begun, those between tries having been answered."""
    due = [old.redis.hgetall(f"welcome:event:{one}") for one in old.redis.zrange("welcome:due", 0, -1)]
    begun = [row for row in due if row.get("attempts") == "1"]
    return len(begun) if any(row.get("answers") == "1" for row in begun) else 0


def no_secrets(old: Installation) -> None:
    """What the stand-in made up in place of a token, and this machine's name, are of no use to a reader."""
    for key in old.redis.keys("wecom:token:*"):
        if old.redis.type(key) == "hash":
            old.redis.hset(key, "value", "not-a-token")
    noted = old.redis.hgetall("welcome:processes")
    old.redis.delete("welcome:processes")
    for field, text in noted.items():
        role, _, pid = field.split("|")
        old.redis.hset("welcome:processes", f"{role}|old-host|{pid}", text)
