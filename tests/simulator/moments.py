"""客户朋友圈: tasks for members, who never publish here. Docs 95094, 93333, 97612."""

import secrets
from dataclasses import dataclass, field

from tests.simulator.calls import Call, Fields, Route, characters, entries, ok, span
from tests.simulator.customers import contacts
from tests.simulator.greeting import Refused

MOST = {"image": 9, "video": 1, "link": 1}


@dataclass(slots=True)
class Moments:
    by_id: dict[str, Fields] = field(default_factory=dict)
    senders: dict[str, list[str]] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)  # → moment_id


def add(call: Call) -> Fields:
    body = call.json()
    characters(body.get("text", {}), "content", 2000)
    kinds = [attachment.get("msgtype") for attachment in entries(body, "attachments", 9)]
    if not kinds and not body.get("text", {}).get("content"):
        raise Refused(40063, "some parameters are empty")
    if len(set(kinds)) > 1 or any(kind not in MOST or len(kinds) > MOST[kind] for kind in kinds):
        raise Refused(41065, "invalid attachments msgtype")
    moments, moment_id, jobid = call.corp.of(Moments), f"mom{secrets.token_urlsafe(12)}", secrets.token_urlsafe(24)
    wanted = body.get("visible_range", {}).get("sender_list", {}).get("user_list") or sorted(call.corp.members)
    moments.senders[moment_id] = [member for member in wanted if member in call.corp.members]
    moments.by_id[moment_id] = {
        "moment_id": moment_id,
        "create_time": int(call.now),
        "create_type": 0,
        "visible_type": 1,
        "text": body.get("text", {}),
    }
    moments.jobs[jobid] = moment_id
    return ok(jobid=jobid)


def result(call: Call) -> Fields:
    moment_id = call.corp.of(Moments).jobs.get(call.required("jobid", 40063))
    if moment_id is None:
        raise Refused(40058, "invalid Request Parameter, jobid")
    return ok(status=3, type="add_moment_task", result={"errcode": 0, "errmsg": "ok", "moment_id": moment_id})


def _known(call: Call) -> tuple[str, Fields]:
    body = call.json("moment_id")
    if body["moment_id"] not in call.corp.of(Moments).by_id:
        raise Refused(40058, "invalid Request Parameter, moment_id")
    return body["moment_id"], body


def cancel(call: Call) -> Fields:
    del call.corp.of(Moments).by_id[_known(call)[0]]
    return ok()


def list_(call: Call) -> Fields:
    body = call.json("start_time", "end_time")
    span(body, "start_time", "end_time", 30)
    within = [
        m for m in call.corp.of(Moments).by_id.values() if body["start_time"] <= m["create_time"] <= body["end_time"]
    ]
    page, cursor = call.page(body, within, 20)
    return ok(moment_list=page, next_cursor=cursor)


def tasks(call: Call) -> Fields:
    moment_id, body = _known(call)
    rows = [{"userid": member, "publish_status": 0} for member in call.corp.of(Moments).senders[moment_id]]
    page, cursor = call.page(body, rows, 1000, 500)
    return ok(task_list=page, next_cursor=cursor)


def customers(call: Call) -> Fields:
    _, body = _known(call)
    call.json("userid")
    rows = [{"userid": body["userid"], "external_userid": customer} for customer in contacts(call, body["userid"])]
    page, cursor = call.page(body, rows, 1000, 500)
    return ok(customer_list=page, next_cursor=cursor)


def send_result(call: Call) -> Fields:
    """Nobody has published anything."""
    _known(call)
    call.json("userid")
    return ok(customer_list=[], next_cursor="")


def comments(call: Call) -> Fields:
    _known(call)
    call.json("userid")
    return ok(comment_list=[], like_list=[])


ROUTES = {
    "externalcontact/add_moment_task": Route("POST", add),
    "externalcontact/get_moment_task_result": Route("GET", result),
    "externalcontact/cancel_moment_task": Route("POST", cancel),
    "externalcontact/get_moment_list": Route("POST", list_),
    "externalcontact/get_moment_task": Route("POST", tasks),
    "externalcontact/get_moment_customer_list": Route("POST", customers),
    "externalcontact/get_moment_send_result": Route("POST", send_result),
    "externalcontact/get_moment_comments": Route("POST", comments),
}
