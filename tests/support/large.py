"""The large installation: what no page may be slow with. Made by numbers alone, so it is always the same.

    fill(services)                            300 templates, 200 rules, 2000 members, 100 channels, 100 000 deliveries
    fill(services, Size(deliveries=2000))     as large, with a shorter history
    people(wecom)                             the same members and departments at the stand-in

Without `people` no list of members can be fetched, but the names of all are known.
"""

import base64
import json
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from tasks.channels import SEVERAL, Channel
from tasks.directory.lookup import KEPT
from tasks.events import ContactAdded
from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Attempt, Outcome
from tasks.reasons import Kind, Reason
from tasks.services import Services
from tasks.storage import keys
from tasks.templates.edits import AddRule
from tests.simulator.client import StandIn
from tests.support import past, samples
from tests.support.books import PNG
from tests.support.past import Past
from tests.support.people import full_name

APP = "default"
QR_CODE = "https://example.com/code.png"
IMAGE = "media/hello.png"
DAYS = 29  # of deliveries: within the 30 for which a row is kept
REGIONS, CITIES, SHOPS = 8, 5, 4  # cities of a region, shops of a city
SHOP_NAMES = ("人民路店", "中山路店", "万达店", "高铁站店")
CITY_NAMES = ("甲城", "乙城", "丙城", "丁城", "戊城")
SHARES = {"sent": 920, "unconfirmed": 20, "lost": 20, "no_code": 20, "expired": 8, "refused": 6, "failed": 6}
LABELS = 40  # of welcomes, each on some
BY_HOUR = (1, 1, 0, 0, 0, 0, 1, 2, 4, 6, 8, 9, 9, 7, 7, 7, 7, 7, 8, 9, 10, 9, 6, 3)
REASONS = {
    Outcome.EXPIRED: Reason.of(Kind.WINDOW_OVER, where="queue", seconds=20.4),
    Outcome.REFUSED: Reason.of(Kind.WECOM_ERROR, errcode=41054, errmsg="user not activated"),
    Outcome.FAILED: Reason.of(
        Kind.TRIES_FAILED,
        tries=5,
        in_doubt=False,
        cause=Reason.of(Kind.NO_ANSWER, failure="http_status", detail="502"),
    ),
    Outcome.UNCONFIRMED: Reason.of(Kind.ANSWER_LOST),
    Outcome.LOST: Reason.of(Kind.WECOM_ERROR, errcode=41051, errmsg="already chatting"),
    Outcome.NO_CODE: Reason.of(Kind.NO_WELCOME_CODE),
}


@dataclass(frozen=True, slots=True)
class Size:
    templates: int = 300
    rules: int = 200
    members: int = 2000
    channels: int = 100
    deliveries: int = 100_000


LARGE = Size()


def fill(services: Services, size: Size = LARGE) -> None:
    """A live book, a draft with a change, names, channels and deliveries, the latest just now."""
    services.books.import_first(APP, book(size), {IMAGE: PNG})
    services.drafts.change(APP, AddRule({"when": {"state": "new-*"}, "use": template_name(1)}), full_name(0))
    for number in range(LABELS):
        names = [template_name(one) for one in range(size.templates) if one % LABELS == number]
        services.labels.add(APP, names, f"{CITY_NAMES[number % CITIES]} {number + 1:02d}")
    _names(services, size)
    _channels(services, size)
    past.write(services, deliveries(services, size))
    samples.fill_tokens(services)
    samples.fill_tagging(services)


# ------------------------------------------------------------------------------------------------ the book


def template_name(number: int) -> str:
    """Of a template, from 0. The first is the one for everybody else."""
    return f"{SHOP_NAMES[number % 4]} {number:03d}" if number else "default"


def state(number: int) -> str:
    """Of a channel, from 0."""
    return f"store-{number:03d}"


def book(size: Size = LARGE) -> str:
    """The book's YAML. A rule for each channel, then by department, member and hours, and one for everybody."""
    lines = ["version: 1", "templates:"]
    for number in range(size.templates):
        lines.append(f"  {template_name(number)}:")
        lines.append(f'    text: "{{customer|您}}好，我是{{member}}。这是第 {number} 条欢迎语，有事随时找我。"')
        if number == 2:
            lines.append(f"    attachments: [image: {{file: {IMAGE}}}]")
        if number % 3 == 1:
            url = f"https://example.com/{number}"
            lines.append(f'    attachments: [link: {{title: 产品手册 {number}, url: "{url}", desc: 参数与价格}}]')
        if number % 5 == 1:
            lines.append(f"    then: {{tags: [来源/门店 {number % 40}]}}")
    lines.append("rules:")
    lines += [_rule(number, size) for number in range(size.rules - 1)]
    return "\n".join([*lines, "  - use: default", ""])


def _rule(number: int, size: Size) -> str:
    uses = template_name(1 + number % (size.templates - 1))
    if number < size.channels:
        when = f'state: "{state(number)}"'
    elif number % 3 == 0:
        when = f"department: {2 + number % _departments()}"
    elif number % 3 == 1:
        when = f"member: [{member(number % size.members)}, {member(number * 7 % size.members)}]"
    else:
        when = f'hours: "22:00-08:00", state: "night-{number}-*"'
    use = f"{{{uses}: 70, default: 30}}" if number % 20 == 3 else uses
    return f"  - {{name: 规则 {number:03d}, when: {{{when}}}, use: {use}}}"


# ------------------------------------------------------------------------------------------------ people


def member(number: int) -> str:
    """A userid, from 0."""
    return f"member-{number:04d}"


def department_of(number: int) -> int:
    """The shop that a member works in."""
    shops = REGIONS * CITIES * SHOPS
    return 2 + REGIONS + REGIONS * CITIES + number % shops


def _departments() -> int:
    """How many there are below the corp itself."""
    return REGIONS + REGIONS * CITIES + REGIONS * CITIES * SHOPS


def departments() -> Mapping[int, Mapping[str, Any]]:
    """id → name and parent: regions, cities, shops. The corp itself is 1."""
    found: dict[int, Mapping[str, Any]] = {1: {"name": "大公司", "parentid": 0}}
    cities, shops = 2 + REGIONS, 2 + REGIONS + REGIONS * CITIES
    for number in range(REGIONS):
        found[2 + number] = {"name": f"第{number + 1}大区", "parentid": 1}
    for number in range(REGIONS * CITIES):
        name = f"{number // CITIES + 1}区{CITY_NAMES[number % CITIES]}"
        found[cities + number] = {"name": name, "parentid": 2 + number // CITIES}
    for number in range(REGIONS * CITIES * SHOPS):
        name = f"{found[cities + number // SHOPS]['name']}{SHOP_NAMES[number % SHOPS]}"
        found[shops + number] = {"name": name, "parentid": cities + number // SHOPS}
    return found


def people(wecom: StandIn, size: Size = LARGE) -> None:
    """The members and departments, at the stand-in."""
    members = {
        member(number): {"name": full_name(number), "department": [department_of(number)]}
        for number in range(size.members)
    }
    wecom.people(members=members, departments={one: dict(fields) for one, fields in departments().items()})


def _names(services: Services, size: Size) -> None:
    """What greetings have looked up of members and departments, as tasks.directory.lookup keeps it."""
    until = time.time() + 3600

    def kept(answer: Any) -> str:
        return json.dumps({"answer": answer, "until": until}, ensure_ascii=False)

    tree = departments()
    with services.redis.pipeline(transaction=False) as pipe:
        for number in range(size.members):
            department = department_of(number)
            names = {"member": full_name(number), "alias": "", "position": "顾问"}
            about = names | {"departments": [department], "department": department}
            pipe.set(keys.member(APP, member(number)), kept(about), ex=KEPT)
        for number, fields in tree.items():
            pipe.set(keys.department(APP, number), kept(fields["name"]), ex=KEPT)
        parents = {str(number): fields["parentid"] for number, fields in tree.items()}
        pipe.set(keys.department_tree(APP), kept(parents), ex=KEPT)
        pipe.execute()


def _channels(services: Services, size: Size) -> None:
    """The codes; the first one's picture is there."""
    stored = {}
    for number in range(size.channels):
        name = f"渠道 {number:03d}"
        members = tuple(member((number * 20 + n) % size.members) for n in range(3))
        code = Channel(name, state(number), f"{number}" if number else "real", SEVERAL, members, qr_code=QR_CODE, at=1)
        stored[name] = json.dumps(asdict(code), ensure_ascii=False)
    services.redis.hset(keys.channels(APP), mapping=stored)
    services.redis.set(keys.channel_picture(APP, "real"), base64.b64encode(PNG))


# ------------------------------------------------------------------------------------------------ deliveries


def deliveries(services: Services, size: Size = LARGE) -> Iterator[Past]:
    """Customers over DAYS days until now, the first of each day first."""
    chance = random.Random(size.deliveries)
    corp_id = services.settings.apps[APP].corp_id
    now = datetime.now(services.settings.timezone)
    began = now - timedelta(DAYS)
    per_day = -(-size.deliveries // DAYS)
    hours = [began + timedelta(hours=n) for n in range(24)]
    weights = [BY_HOUR[one.hour] for one in hours]
    for number in range(size.deliveries):
        into_day = chance.choices(range(24), weights)[0] * 3600 + chance.uniform(0, 3599)
        at = (began + timedelta(number // per_day, into_day)).timestamp()
        yield _delivery(chance, corp_id, number, min(at, now.timestamp() - 1), size)


def _delivery(chance: random.Random, corp_id: str, number: int, at: float, size: Size) -> Past:
    channel = chance.randrange(size.channels) if chance.random() < 0.8 else None
    who = chance.randrange(size.members)
    event = ContactAdded(
        app=APP,
        corp_id=corp_id,
        change="add",
        user_id=member(who),
        external_user_id=f"wm{number:022d}",
        created_at=int(at),
        state="" if channel is None else state(channel),
    )
    outcome = Outcome(chance.choices(list(SHARES), list(SHARES.values()))[0])
    reason = REASONS.get(outcome)
    answered = round(min(18_000, chance.lognormvariate(5.7, 0.6)))
    steps = {"started": 3, "chosen": 4, "named": 5, "prepared": 5, "try_1": 6, "token": 6, "answer_1": answered}
    tried = outcome not in (Outcome.NO_CODE, Outcome.EXPIRED)
    settlement = Settlement(
        outcome,
        reason,
        errcode=reason.errcode if reason else None,
        template="default" if channel is None else template_name(1 + channel % (size.templates - 1)),
        rule=f"{size.rules}" if channel is None else f"规则 {channel:03d}",
        variant=template_name(1 + channel) if channel is not None and channel % 20 == 3 else "",
        revision=1,
        attempts=int(tried),
        steps=steps if tried else {"started": 20_400 if outcome is Outcome.EXPIRED else 3},
        tries=[Attempt(None if outcome is Outcome.SENT else reason)] if tried else [],
        values={"customer": full_name(number), "member": full_name(who)},
    )
    return Past(event, at, settlement)
