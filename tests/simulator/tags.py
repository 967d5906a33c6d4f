"""企业标签, by corp; an app changes only those it made. Docs 92117, 92118."""

import secrets
from dataclasses import dataclass, field

from tests.simulator.calls import Call, Fields, Route, characters, entries, ok
from tests.simulator.customers import Notes, related
from tests.simulator.greeting import Refused

NAME = 30  # characters
TAGS_OF_A_PAIR = 3000


@dataclass(slots=True)
class Groups:
    by_id: dict[str, Fields] = field(default_factory=dict)
    makers: dict[str, str] = field(default_factory=dict)  # tag or group id → app

    def find(self, tag_id: str) -> tuple[Fields, Fields] | None:
        """(group, tag) of a tag's id."""
        found = ((group, tag) for group in self.by_id.values() for tag in group["tag"] if tag["id"] == tag_id)
        return next(found, None)


def list_(call: Call) -> Fields:
    body = call.json()
    tag_ids, group_ids = entries(body, "tag_id", 10_000), entries(body, "group_id", 10_000)
    groups = list(call.corp.of(Groups).by_id.values())
    if group_ids:
        groups = [group for group in groups if group["group_id"] in group_ids]
    elif tag_ids:
        kept = [{**group, "tag": [tag for tag in group["tag"] if tag["id"] in tag_ids]} for group in groups]
        groups = [group for group in kept if group["tag"]]
    return ok(tag_group=groups)


def add(call: Call) -> Fields:
    body, groups = call.json("tag"), call.corp.of(Groups)
    group = _group(call, body)
    made = []
    for wanted in entries(body, "tag", 10_000):
        _name(wanted, "name")
        tag = next((tag for tag in group["tag"] if tag["name"] == wanted["name"]), None)
        if tag is None:
            order = wanted.get("order", 0)
            tag = {"id": _new(call), "name": wanted["name"], "create_time": int(call.now), "order": order}
            group["tag"].append(tag)
        made.append(tag)
    groups.by_id[group["group_id"]] = group
    return ok(tag_group={**group, "tag": made})


def _group(call: Call, body: Fields) -> Fields:
    """The group that a body names: an existing one, or a new one that is not stored yet."""
    groups = call.corp.of(Groups)
    if "group_id" in body:
        if body["group_id"] not in groups.by_id:
            raise Refused(40068, "invalid tagid")
        return groups.by_id[body["group_id"]]
    _name(body, "group_name")
    name = body["group_name"]
    same = (group for group in groups.by_id.values() if group["group_name"] == name)
    fresh = {"group_name": name, "create_time": int(call.now), "order": body.get("order", 0), "tag": []}
    return next(same, None) or {"group_id": _new(call), **fresh}


def _name(body: Fields, field: str) -> None:
    if not body.get(field):
        raise Refused(40063, f"some parameters are empty, {field}")
    characters(body, field, NAME)


def _new(call: Call) -> str:
    made = "et" + secrets.token_urlsafe(22)
    call.corp.of(Groups).makers[made] = call.app.name
    return made


def edit(call: Call) -> Fields:
    body, groups = call.json("id"), call.corp.of(Groups)
    _own(call, body["id"])
    if "name" in body:
        _name(body, "name")
    found = groups.find(body["id"])
    if found is None:
        group = groups.by_id[body["id"]]
        if body.get("name") in [g["group_name"] for g in groups.by_id.values() if g is not group]:
            raise Refused(40071, "tag name already exists")
        group.update({"group_name": body.get("name", group["group_name"]), "order": body.get("order", group["order"])})
        return ok()
    group, tag = found
    if body.get("name") in [other["name"] for other in group["tag"] if other is not tag]:
        raise Refused(40071, "tag name already exists")
    tag.update({name: body[name] for name in ("name", "order") if name in body})
    return ok()


def delete(call: Call) -> Fields:
    body, groups = call.json(), call.corp.of(Groups)
    tag_ids, group_ids = entries(body, "tag_id", 10_000), entries(body, "group_id", 10_000)
    if not tag_ids and not group_ids:
        raise Refused(40063, "some parameters are empty, tag_id and group_id")
    for some_id in (*tag_ids, *group_ids):
        _own(call, some_id)
    gone = {*tag_ids, *(tag["id"] for group_id in group_ids for tag in groups.by_id[group_id]["tag"])}
    for group in list(groups.by_id.values()):
        group["tag"] = [tag for tag in group["tag"] if tag["id"] not in gone]
        if not group["tag"]:
            del groups.by_id[group["group_id"]]
    for marks in call.corp.of(Notes).tags.values():
        for tag_id in gone:
            marks.pop(tag_id, None)
    return ok()


def _own(call: Call, some_id: str) -> None:
    maker = call.corp.of(Groups).makers.get(some_id)
    if maker is None:
        raise Refused(40068, "invalid tagid")
    if maker != call.app.name:
        raise Refused(60011, "no privilege to access/modify contact/party/agent")


def mark(call: Call) -> Fields:
    body = call.json("userid", "external_userid")
    added, removed = entries(body, "add_tag", TAGS_OF_A_PAIR), entries(body, "remove_tag", 10_000)
    if not added and not removed:
        raise Refused(40063, "some parameters are empty, add_tag and remove_tag")
    pair = related(call, body)
    found = {tag_id: call.corp.of(Groups).find(tag_id) for tag_id in added}
    if None in found.values():
        raise Refused(40068, "invalid tagid")
    marks = call.corp.of(Notes).tags.setdefault(pair, {})
    for tag_id in removed:
        marks.pop(tag_id, None)
    for tag_id, (group, tag) in found.items():
        marks[tag_id] = {"group_name": group["group_name"], "tag_name": tag["name"], "tag_id": tag_id, "type": 1}
    return ok()


ROUTES = {
    "externalcontact/get_corp_tag_list": Route("POST", list_),
    "externalcontact/add_corp_tag": Route("POST", add),
    "externalcontact/edit_corp_tag": Route("POST", edit),
    "externalcontact/del_corp_tag": Route("POST", delete),
    "externalcontact/mark_tag": Route("POST", mark),
}
