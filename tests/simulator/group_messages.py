"""企业群发: tasks for members, who never confirm them here. Docs 92135, 93338, 97610, 97611."""

import secrets
from dataclasses import dataclass, field

from tests.simulator import greeting
from tests.simulator.calls import Call, Fields, Route, entries, ok, one_of, span
from tests.simulator.customers import contacts
from tests.simulator.greeting import Refused
from tests.simulator.group_chats import Chats

REMINDERS = 3  # in 24 hours


@dataclass(slots=True)
class Task:
    msgid: str
    chat_type: str
    creator: str
    made_at: int
    content: Fields
    receivers: dict[str, list[str]]  # sender → customers or chats
    cancelled: bool = False
    reminded_at: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Tasks:
    by_id: dict[str, Task] = field(default_factory=dict)


def add(call: Call) -> Fields:
    body = call.json()
    one_of(body, "chat_type", "single", "group")
    kind, sender = body.get("chat_type", "single"), body.get("sender", "")
    wanted = entries(body, "external_userid", 10_000) if kind == "single" else entries(body, "chat_id_list", 2000)
    if (kind == "group" and not sender) or not (sender or wanted or body.get("tag_filter")):
        raise Refused(40063, "some parameters are empty, sender")
    if sender and sender not in call.corp.members:
        raise Refused(60111, "userid not found")
    content = greeting.content(
        body,
        usable=lambda media_id, type_: (m := call.world.living(call.app, media_id, call.now)) and m.type == type_,
        uploaded=lambda url: url in call.corp.images,
    )
    receivers, failed = _receivers(call, kind, sender, wanted)
    task = Task(secrets.token_urlsafe(24), kind, sender, int(call.now), content, receivers)
    call.corp.of(Tasks).by_id[task.msgid] = task
    return ok(fail_list=failed, msgid=task.msgid)


def _receivers(call: Call, kind: str, sender: str, wanted: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """(sender → receivers, those of `wanted` that have no sender). Without `wanted`: all of the sender's."""
    if kind == "group":
        chats = {chat_id for chat_id, chat in call.corp.of(Chats).by_id.items() if chat["owner"] == sender}
        wanted = wanted or sorted(chats)
        return {sender: [w for w in wanted if w in chats]}, [w for w in wanted if w not in chats]
    if not wanted:
        return {sender: list(contacts(call, sender))}, []
    receivers: dict[str, list[str]] = {}
    failed = []
    for customer in wanted:
        members = call.corp.relations.get(customer, {})
        member = sender if sender in members else next(iter(members), "") if not sender else ""
        if member:
            receivers.setdefault(member, []).append(customer)
        else:
            failed.append(customer)
    return receivers, failed


def _task(call: Call) -> tuple[Task, Fields]:
    body = call.json("msgid")
    task = call.corp.of(Tasks).by_id.get(body["msgid"])
    if task is None:
        raise Refused(40058, "invalid Request Parameter, msgid")
    return task, body


def remind(call: Call) -> Fields:
    task, _ = _task(call)
    task.reminded_at = [at for at in task.reminded_at if call.now - at < 86400]
    if task.cancelled or len(task.reminded_at) >= REMINDERS:
        raise Refused(45009, "api freq out of limit")
    task.reminded_at.append(call.now)
    return ok()


def cancel(call: Call) -> Fields:
    _task(call)[0].cancelled = True
    return ok()


def list_(call: Call) -> Fields:
    body = call.json("chat_type", "start_time", "end_time")
    one_of(body, "chat_type", "single", "group")
    span(body, "start_time", "end_time", 31)
    rows = [
        {
            "msgid": task.msgid,
            "create_time": task.made_at,
            "create_type": 0,
            "text": {"content": task.content["text"]},
            "attachments": task.content["attachments"],
        }
        for task in call.corp.of(Tasks).by_id.values()
        if task.chat_type == body["chat_type"]
        and body["start_time"] <= task.made_at <= body["end_time"]
        and body.get("creator") in (None, task.creator)
        and body.get("filter_type", 2) in (0, 2)
    ]
    page, cursor = call.page(body, rows, 100, 50)
    return ok(group_msg_list=page, next_cursor=cursor)


def tasks(call: Call) -> Fields:
    task, body = _task(call)
    rows = [{"userid": sender, "status": 0} for sender in task.receivers]
    page, cursor = call.page(body, rows, 1000, 500)
    return ok(task_list=page, next_cursor=cursor)


def send_result(call: Call) -> Fields:
    task, body = _task(call)
    call.json("userid")
    page, cursor = call.page(body, _sent(task, body["userid"]), 1000, 500)
    return ok(send_list=page, next_cursor=cursor)


def result(call: Call) -> Fields:
    """The old call. Doc 91561."""
    task, body = _task(call)
    rows = [row for sender in task.receivers for row in _sent(task, sender)]
    page, cursor = call.page(body, rows, 10_000)
    return ok(check_status=1, detail_list=page, next_cursor=cursor)


def _sent(task: Task, sender: str) -> list[Fields]:
    """A message to groups has no results before the member has chosen them."""
    if task.chat_type == "group":
        return []
    return [{"external_userid": receiver, "userid": sender, "status": 0} for receiver in task.receivers.get(sender, [])]


ROUTES = {
    "externalcontact/add_msg_template": Route("POST", add),
    "externalcontact/remind_groupmsg_send": Route("POST", remind),
    "externalcontact/cancel_groupmsg_send": Route("POST", cancel),
    "externalcontact/get_groupmsg_list_v2": Route("POST", list_),
    "externalcontact/get_groupmsg_task": Route("POST", tasks),
    "externalcontact/get_groupmsg_send_result": Route("POST", send_result),
    "externalcontact/get_group_msg_result": Route("POST", result),
}
