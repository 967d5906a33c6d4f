"""Each paged call has an iterator that follows the cursor to the end."""

import inspect
import itertools
from typing import Any

import pytest

from tasks.wecom import WeComClient
from tasks.wecom.catalogue import Entry, calls
from tasks.wecom.errors import BadRequest, NoAnswer
from tests.support.recording import OK, Recorder, Request

PAGED = [entry for entry in calls().values() if "cursor" in inspect.signature(entry.method).parameters]
BY_OFFSET = [entry for entry in calls().values() if "offset" in inspect.signature(entry.method).parameters]
SAMPLES: dict[str, Any] = {"userid_list": ["u"], "chat_type": "single", "page_id": 0, "page_size": 10, "end_time": 1}


def arguments(entry: Entry) -> dict[str, Any]:
    """A value for each required parameter."""
    needed = [p.name for p in entry.parameters if p.default is inspect.Parameter.empty]
    return {name: SAMPLES.get(name, 0 if name.endswith("_time") else "x") for name in needed}


def cursor_of(request: Request) -> str | None:
    if request.json is not None:
        return request.json.get("cursor")
    return request.query.get("cursor", [None])[0]


@pytest.mark.parametrize("entry", PAGED, ids=lambda entry: entry.path)
def test_the_iterator_yields_the_entries_of_all_pages(entry: Entry, recorder: Recorder, client: WeComClient) -> None:
    assert entry.iterator is not None, f"{entry.name} has pages, but no iterator"
    items = (entry.iterator.__doc__ or "").split("`")[1]
    pages: dict[str | None, dict[str, Any]] = {
        None: {items: [1, 2], "next_cursor": "second"},
        "second": {items: [], "next_cursor": "third"},  # an empty page is not the last one
        "third": {items: [3], "next_cursor": ""},
    }
    recorder.answer = lambda request: {**OK, **pages[cursor_of(request)]}
    assert list(entry.bind_iterator(client)(**arguments(entry))) == [1, 2, 3]
    assert [cursor_of(request) for request in recorder.requests] == [None, "second", "third"]
    assert f"`{items}`" in (entry.iterator.__doc__ or "")
    assert f'"{items}"' in entry.doc, "the docstring of the call shows where the entries are"


@pytest.mark.parametrize("entry", BY_OFFSET, ids=lambda entry: entry.path)
@pytest.mark.parametrize("with_total", [True, False], ids=["with total", "without total"])
def test_the_iterator_counts_pages_by_their_offset(
    entry: Entry, with_total: bool, recorder: Recorder, client: WeComClient
) -> None:
    def answer(request: Request) -> dict[str, Any]:
        start = request.json.get("offset", 0)
        found = list(range(5))[start : start + 2]
        return {**OK, **({"total": 5} if with_total else {}), "items": found, "next_offset": start + len(found)}

    recorder.answer = answer
    assert entry.iterator is not None, f"{entry.name} has pages, but no iterator"
    assert list(entry.bind_iterator(client)(0, {"userid_list": ["u"]})) == list(range(5))
    asked = [request.json.get("offset") for request in recorder.requests]
    assert asked == [None, 2, 4] if with_total else [None, 2, 4, 5]


@pytest.mark.parametrize("entry", [*PAGED, *BY_OFFSET], ids=lambda entry: entry.path)
def test_the_iterator_has_the_parameters_of_the_call(entry: Entry) -> None:
    assert entry.iterator is not None
    ours, calls_ = inspect.signature(entry.iterator), inspect.signature(entry.method)
    assert list(ours.parameters.values()) == list(calls_.parameters.values())


def test_it_can_start_in_the_middle_by_name_or_position(recorder: Recorder, client: WeComClient) -> None:
    assert list(client.external_contact.iter_contact_list("middle", 7)) == []
    assert recorder.take().json == {"cursor": "middle", "limit": 7}


def test_parameters_are_repeated_on_every_page(recorder: Recorder, client: WeComClient) -> None:
    recorder.answer = lambda request: {**OK, "next_cursor": "" if "cursor" in request.json else "n"}
    list(client.external_contact.iter_batch_get_by_user(["a", "b"], limit=2))
    assert [request.json for request in recorder.requests] == [
        {"userid_list": ["a", "b"], "limit": 2},
        {"userid_list": ["a", "b"], "limit": 2, "cursor": "n"},
    ]


def test_the_cursor_replaces_the_page_id(recorder: Recorder, client: WeComClient) -> None:
    recorder.answer = lambda request: {**OK, "is_last": False, "next_cursor": "" if "cursor" in request.json else "n"}
    list(client.external_contact.iter_get_unassigned_list(0, 5))
    assert [r.json for r in recorder.requests] == [{"page_id": 0, "page_size": 5}, {"page_size": 5, "cursor": "n"}]


def test_pages_that_do_not_end_are_an_error(recorder: Recorder, client: WeComClient) -> None:
    cursors = itertools.cycle(["a", "b"])
    recorder.answer = lambda request: {**OK, "info_list": [1], "next_cursor": next(cursors)}
    found = []
    with pytest.raises(NoAnswer, match="a cursor came twice"):
        found.extend(client.external_contact.iter_contact_list())
    assert len(recorder.requests) == 3


def test_nothing_is_requested_before_the_first_entry(recorder: Recorder, client: WeComClient) -> None:
    pages = client.external_contact.iter_contact_list()
    assert recorder.requests == []
    assert list(pages) == []
    assert len(recorder.requests) == 1


def test_an_error_on_a_later_page_reaches_the_caller_after_the_earlier_entries(
    recorder: Recorder, client: WeComClient
) -> None:
    def answer(request: Request) -> dict[str, Any]:
        if "cursor" in request.json:
            return {"errcode": 50100, "errmsg": "invalid cursor"}
        return {**OK, "dept_user": [1], "next_cursor": "n"}

    recorder.answer = answer
    pages = client.user.iter_list_id()
    assert next(pages) == 1
    with pytest.raises(BadRequest, match="50100"):
        next(pages)
