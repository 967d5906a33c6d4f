"""聊天敏感词, by corp; an app changes only those it made. Doc 95097."""

import secrets
from dataclasses import dataclass, field

from tests.simulator.calls import Call, Fields, Route, characters, entries, ok, one_of
from tests.simulator.greeting import Refused

MOST = 100  # of a corp


@dataclass(slots=True)
class Rules:
    by_id: dict[str, Fields] = field(default_factory=dict)
    makers: dict[str, str] = field(default_factory=dict)


def _known(call: Call, own: bool = False) -> Fields:
    """The rule that the body names; with `own`, only one that this app made. Raises Refused."""
    kept, some_id = call.corp.of(Rules), call.json("rule_id")["rule_id"]
    if some_id not in kept.by_id:
        raise Refused(40058, "invalid Request Parameter, rule_id")
    if own and kept.makers[some_id] != call.app.name:
        raise Refused(60011, "no privilege to access/modify contact/party/agent")
    return kept.by_id[some_id]


def _rule(call: Call, *required: str) -> Fields:
    body = call.json(*required)
    characters(body, "rule_name", 20)
    one_of(body, "intercept_type", 1, 2)
    for word in entries(body, "word_list", 300):
        characters({"word": word}, "word", 32)
    return body


def add(call: Call) -> Fields:
    body, rules = _rule(call, "rule_name", "word_list", "intercept_type", "applicable_range"), call.corp.of(Rules)
    if len(rules.by_id) >= MOST:
        raise Refused(40058, "too many rules")
    rule_id = secrets.token_urlsafe(16)
    extra = {"semantics_list": body.get("semantics_list", [])}
    kept = {name: body[name] for name in ("rule_name", "word_list", "intercept_type", "applicable_range")}
    rules.by_id[rule_id] = {"rule_id": rule_id, "create_time": int(call.now), "extra_rule": extra, **kept}
    rules.makers[rule_id] = call.app.name
    return ok(rule_id=rule_id)


def list_(call: Call) -> Fields:
    names = ("rule_id", "rule_name", "create_time")
    return ok(rule_list=[{name: rule[name] for name in names} for rule in call.corp.of(Rules).by_id.values()])


def get(call: Call) -> Fields:
    return ok(rule=_known(call))


def update(call: Call) -> Fields:
    rule, body = _known(call, own=True), _rule(call)
    rule.update(
        {name: body[name] for name in ("rule_name", "word_list", "intercept_type", "extra_rule") if name in body}
    )
    for kind in ("user_list", "department_list"):
        here = rule["applicable_range"].get(kind, [])
        added = body.get("add_applicable_range", {}).get(kind, [])
        gone = body.get("remove_applicable_range", {}).get(kind, [])
        rule["applicable_range"][kind] = [one for one in dict.fromkeys((*here, *added)) if one not in gone]
    return ok()


def delete(call: Call) -> Fields:
    rules = call.corp.of(Rules)
    del rules.by_id[_known(call, own=True)["rule_id"]]
    return ok()


ROUTES = {
    "externalcontact/add_intercept_rule": Route("POST", add),
    "externalcontact/get_intercept_rule_list": Route("GET", list_),
    "externalcontact/get_intercept_rule": Route("POST", get),
    "externalcontact/update_intercept_rule": Route("POST", update),
    "externalcontact/del_intercept_rule": Route("POST", delete),
}
