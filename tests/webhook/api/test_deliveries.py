"""Deliveries by the API: what `deliveries --json` prints, page by page."""

from datetime import UTC, datetime

import pytest

from tasks.audit import Act, Via
from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.storage import keys
from tests.support.api import Program
from tests.support.builders import a_delivery
from tests.support.ledger import accepted, settled
from webhook import looks
from webhook.api.schemas import DeliverySchema, FollowUpSchema, TrySchema
from webhook.delivery_record import record


def test_a_delivery_is_what_the_command_prints(ask: Program) -> None:
    event = settled(ask.services.ledger, Settlement(Outcome.SENT, template="default", rule="1"), state="douyin-1")
    row = ask.services.ledger.delivery(event.id)
    assert row is not None
    assert ask.get(f"deliveries/{event.id}").json == record(row)
    assert ask.get("deliveries").json == {"items": [record(row)], "next": None}


def test_the_document_names_every_field_of_a_delivery() -> None:
    assert list(record(a_delivery())) == list(DeliverySchema().fields)
    assert {*TrySchema().fields, *FollowUpSchema().fields} == {
        "errcode",
        "reason",
        "state",
        "attempts",
        "at",
        "next_at",
        "tags",
        "remark",
    }


def test_pages_follow_each_other_to_the_end(ask: Program) -> None:
    ids = [settled(ask.services.ledger).id for _ in range(5)][::-1]
    found, cursor = [], None
    while True:
        page = ask.get("deliveries", limit=2, **({"cursor": cursor} if cursor else {})).json
        found += [one["id"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == ids


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"outcome": "sent"}, {"sent"}),
        ({"outcome": "open"}, {"open"}),
        ({"outcome": "missed"}, {"expired"}),
        ({"member": "lisi"}, {"expired"}),
        ({"channel": "shop"}, {"sent"}),
        ({"customer": "wm-open"}, {"open"}),
        ({"welcome": "spring"}, {"sent"}),
        ({"member": "lisi", "outcome": "sent"}, set()),
        ({"since": "2026-01-01", "until": "2999-12-31"}, {"sent", "open", "expired"}),
        ({"until": "2026-01-01T00:00:00Z"}, set()),
    ],
)
def test_all_that_is_given_has_to_hold(ask: Program, asked: dict[str, str], expected: set[str]) -> None:
    ledger = ask.services.ledger
    ids = {
        settled(ledger, Settlement(Outcome.SENT, template="spring"), state="shop").id: "sent",
        settled(ledger, Settlement(Outcome.EXPIRED), user_id="lisi").id: "expired",
        accepted(ledger, external_user_id="wm-open").id: "open",
    }
    assert {ids[one["id"]] for one in ask.get("deliveries", **asked).json["items"]} == expected


def test_a_date_is_a_day_of_the_installation_and_a_moment_has_its_own_zone(ask: Program) -> None:
    event = settled(ask.services.ledger)
    row = ask.services.ledger.delivery(event.id)
    assert row is not None
    here = datetime.fromtimestamp(row.received_at, ask.services.settings.timezone)
    there = datetime.fromtimestamp(int(row.received_at), UTC)

    def count(**asked: str) -> int:
        return len(ask.get("deliveries", **asked).json["items"])

    assert count(since=f"{here:%Y-%m-%d}", until=f"{here:%Y-%m-%d}") == 1
    assert count(since=f"{there:%Y-%m-%dT%H:%M:%SZ}") == 1
    assert count(until=f"{there:%Y-%m-%dT%H:%M:%SZ}") == 0


def test_another_apps_delivery_is_not_there(ask: Program) -> None:
    event = settled(ask.services.ledger, app="other")
    assert ask.get(f"deliveries/{event.id}").status_code == 404
    assert ask.get("deliveries").json["items"] == []


def test_no_customers_name_leaves_the_house(ask: Program) -> None:
    event = settled(ask.services.ledger)
    named = {"customer_name": "王芳", "values": '{"customer": "王芳"}'}
    ask.services.redis.hset(keys.event(event.id), mapping=named)
    row = ask.services.ledger.delivery(event.id)
    assert row is not None
    assert (row.customer_name, row.names) == ("王芳", {"customer": "王芳"})
    assert "王芳" not in ask.get("deliveries").text + ask.get(f"deliveries/{event.id}").text


def test_looks_at_customers_are_in_the_audit_trail_and_do_not_fill_it(
    ask: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "LOOKS", 2)
    ids = [settled(ask.services.ledger).id for _ in range(4)]
    for _ in range(2):
        ask.get("deliveries")
        for one in ids:
            ask.get(f"deliveries/{one}")
    entries = [*ask.services.audit.entries()][::-1]
    assert [(one.act, one.target) for one in entries] == [
        (Act.EXPORTED, "deliveries"),
        (Act.LOOKED, ids[0]),
        (Act.LOOKED, ids[1]),
        (Act.LOOKED_AT_MANY, ""),
    ]
    assert {(one.who, one.via, one.app) for one in entries} == {(f"ci ({ask.token.id})", Via.API, "default")}
