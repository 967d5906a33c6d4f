"""商品图册, by corp; an app changes only those it made. Doc 95096."""

import secrets
from dataclasses import dataclass, field

from tests.simulator.calls import Call, Fields, Route, characters, entries, ok
from tests.simulator.greeting import Refused

PRICE = 5_000_000  # 分


@dataclass(slots=True)
class Products:
    by_id: dict[str, Fields] = field(default_factory=dict)
    makers: dict[str, str] = field(default_factory=dict)


def _known(call: Call, own: bool = False) -> Fields:
    """The product that the body names; with `own`, only one that this app made. Raises Refused."""
    kept, some_id = call.corp.of(Products), call.json("product_id")["product_id"]
    if some_id not in kept.by_id:
        raise Refused(40058, "invalid Request Parameter, product_id")
    if own and kept.makers[some_id] != call.app.name:
        raise Refused(60011, "no privilege to access/modify contact/party/agent")
    return kept.by_id[some_id]


def _checked(call: Call, *required: str) -> Fields:
    body = call.json(*required)
    characters(body, "description", 300)
    characters(body, "product_sn", 128)
    entries(body, "attachments", 9)
    if not 0 <= body.get("price", 0) <= PRICE:
        raise Refused(40058, "invalid Request Parameter, price")
    return {name: body[name] for name in ("description", "price", "product_sn", "attachments") if name in body}


def add(call: Call) -> Fields:
    products, product_id = call.corp.of(Products), secrets.token_urlsafe(16)
    fields = _checked(call, "description", "price", "attachments")
    products.by_id[product_id] = {"product_id": product_id, "create_time": int(call.now), **fields}
    products.makers[product_id] = call.app.name
    return ok(product_id=product_id)


def get(call: Call) -> Fields:
    return ok(product=_known(call))


def list_(call: Call) -> Fields:
    page, cursor = call.page(call.json(), list(call.corp.of(Products).by_id.values()), 100, 50)
    return ok(product_list=page, next_cursor=cursor)


def update(call: Call) -> Fields:
    _known(call, own=True).update(_checked(call))
    return ok()


def delete(call: Call) -> Fields:
    products = call.corp.of(Products)
    del products.by_id[_known(call, own=True)["product_id"]]
    return ok()


ROUTES = {
    "externalcontact/add_product_album": Route("POST", add),
    "externalcontact/get_product_album": Route("POST", get),
    "externalcontact/get_product_album_list": Route("POST", list_),
    "externalcontact/update_product_album": Route("POST", update),
    "externalcontact/delete_product_album": Route("POST", delete),
}
