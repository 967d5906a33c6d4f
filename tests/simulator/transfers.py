"""继承. A member with status 5 has left; a transfer takes effect after 24 hours. Docs 92124, 92125, 94081, 92127.

A customer's field `transfer` is the status that a transfer has at once: 3 refused, 4 the member has too many customers.
Its field `transfers` says how often it was transferred within 90 days.
A member's field `transfers` is the errcode with which WeCom refuses to tell of hand-overs from this member, and
`transfers_of_staff` that of the call for members who have not left.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulator.calls import Call, Fields, Route, characters, entries, ok
from tests.simulator.customers import contacts
from tests.simulator.greeting import Refused
from tests.simulator.group_chats import Chats

LEFT = 5  # a member's status
DONE, WAITING, UNKNOWN = 1, 2, 5  # a transfer's
FAILED = (3, 4)
DAY = 86400


@dataclass(slots=True)
class Transfers:
    """(previous member, next member, whether the former had left) → customer → when the transfer was requested."""

    begun: dict[tuple[str, str, bool], dict[str, float]] = field(default_factory=dict)


def unassigned(call: Call) -> Fields:
    body = call.json()
    size = body.get("page_size", 1000)
    if not 0 < size <= 1000:
        raise Refused(40058, "invalid Request Parameter, page_size")
    start = body.get("page_id", 0) * size
    if start >= 50_000 and not body.get("cursor"):
        raise Refused(40058, "invalid Request Parameter, page_id")
    left = [member for member, fields in call.corp.members.items() if fields["status"] == LEFT]
    rows = [
        {"handover_userid": member, "external_userid": customer, "dimission_time": int(call.now - DAY)}
        for member in left
        for customer in contacts(call, member)
    ]
    rows = rows if body.get("cursor") else rows[start:]
    page, cursor = call.page({"cursor": body.get("cursor"), "limit": size}, rows, 1000)
    return ok(info=page, is_last=not cursor, next_cursor=cursor)


def _ends(call: Call, left: bool) -> tuple[str, str, Fields]:
    """(handover, takeover, body). `left`: whether the previous member must have left."""
    body = call.json("handover_userid", "takeover_userid")
    handover, takeover = body["handover_userid"], body["takeover_userid"]
    for member in (handover, takeover):
        if member not in call.corp.members:
            raise Refused(60111, f"userid not found, {member}")
    if left and call.corp.members[handover]["status"] != LEFT:
        raise Refused(40097, "this user has not left the corp")
    characters(body, "transfer_success_msg", 200)
    return handover, takeover, body


def _begin(call: Call, ends: tuple[str, str, bool], customer: str) -> int:
    """The errcode of transferring one customer. Doc 90313."""
    handover, takeover, left = ends
    transfers = call.corp.of(Transfers).begun
    known = call.corp.customers.get(customer)
    if known is None:
        return 40096
    if handover == takeover:
        return 40130
    if customer not in contacts(call, handover):
        return 40131
    if any(call.now - DAY < at.get(customer, 0) for (one, _, _), at in transfers.items() if one == handover):
        return 40129
    if not left and known.get("transfers", 0) >= 2:
        return 40128
    transfers.setdefault(ends, {})[customer] = call.now
    return 0


def one(call: Call) -> Fields:
    """The older API of a transfer."""
    handover, takeover, body = _ends(call, left=True)
    errcode = _begin(call, (handover, takeover, True), body.get("external_userid", ""))
    if errcode:
        raise Refused({40129: 40100, 40131: 84061}.get(errcode, errcode), "cannot be handed over")
    return ok()


def one_result(call: Call) -> Fields:
    handover, takeover, body = _ends(call, left=False)
    customer = body.get("external_userid", "")
    at = call.corp.of(Transfers).begun.get((handover, takeover, True), {}).get(customer)
    return ok(status=UNKNOWN) if at is None else ok(**_state(call, customer, at))


def _state(call: Call, customer: str, at: float) -> Fields:
    """How the transfer of a customer is, that was requested at this time."""
    status = call.corp.customers[customer].get("transfer") or (DONE if call.now >= at + DAY else WAITING)
    return {"status": status, "takeover_time": 0 if status in FAILED else int(at + DAY)}


def many(left: bool) -> Callable[[Call], Fields]:
    def handler(call: Call) -> Fields:
        handover, takeover, body = _ends(call, left)
        call.json("external_userid")
        wanted = entries(body, "external_userid", 100)
        return ok(
            customer=[{"external_userid": c, "errcode": _begin(call, (handover, takeover, left), c)} for c in wanted],
        )

    return handler


def results(left: bool) -> Callable[[Call], Fields]:
    def handler(call: Call) -> Fields:
        handover, takeover, body = _ends(call, left=False)
        member = call.corp.members[handover]
        if errcode := member.get("transfers") or (not left and member.get("transfers_of_staff")):
            raise Refused(errcode, "api forbidden")
        begun = call.corp.of(Transfers).begun.get((handover, takeover, left), {})
        rows = [{"external_userid": customer, **_state(call, customer, at)} for customer, at in begun.items()]
        page, cursor = call.page({"cursor": body.get("cursor")}, rows, 1000)
        return ok(customer=page, next_cursor=cursor)

    return handler


def chats(left: bool) -> Callable[[Call], Fields]:
    def handler(call: Call) -> Fields:
        body, known = call.json("chat_id_list", "new_owner"), call.corp.of(Chats).by_id
        if body["new_owner"] not in call.corp.members:
            raise Refused(60111, "userid not found")
        failed = []
        for chat_id in entries(body, "chat_id_list", 100):
            chat = known.get(chat_id)
            if chat is None:
                failed.append({"chat_id": chat_id, "errcode": 90501, "errmsg": "chat is not external group chat"})
            elif left and call.corp.members[chat["owner"]]["status"] != LEFT:
                failed.append({"chat_id": chat_id, "errcode": 90500, "errmsg": "the owner has not left"})
            elif not left and call.corp.members[chat["owner"]]["status"] == LEFT:
                failed.append({"chat_id": chat_id, "errcode": 90502, "errmsg": "the owner has left"})
            elif chat["owner"] == body["new_owner"]:
                failed.append({"chat_id": chat_id, "errcode": 90504, "errmsg": "the owner is the same"})
            else:
                chat["owner"] = body["new_owner"]
        return ok(failed_chat_list=failed)

    return handler


ROUTES = {
    "externalcontact/get_unassigned_list": Route("POST", unassigned),
    "externalcontact/transfer": Route("POST", one),
    "externalcontact/get_transfer_result": Route("POST", one_result),
    "externalcontact/transfer_customer": Route("POST", many(left=False)),
    "externalcontact/transfer_result": Route("POST", results(left=False)),
    "externalcontact/resigned/transfer_customer": Route("POST", many(left=True)),
    "externalcontact/resigned/transfer_result": Route("POST", results(left=True)),
    "externalcontact/groupchat/transfer": Route("POST", chats(left=True)),
    "externalcontact/groupchat/onjob_transfer": Route("POST", chats(left=False)),
}
