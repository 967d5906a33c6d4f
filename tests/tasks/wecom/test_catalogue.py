"""Every call: its name is its path, its docstring is complete, and the stand-in answers it."""

import inspect
import re

import pytest

from tasks.wecom import WeComClient
from tasks.wecom.calls import DownloadedFile
from tasks.wecom.catalogue import Entry, calls
from tests.simulator import api

CALLS = list(calls().values())
BELOW = {"externalcontact": "external_contact"}  # resources that are not named as their paths begin

each_call = pytest.mark.parametrize("entry", CALLS, ids=lambda entry: entry.path)

NAMED = {  # below which path → which calls customer contact needs
    "externalcontact": [
        *("get_follow_user_list", "list", "get", "batch/get_by_user", "contact_list", "remark"),
        *("get_user_behavior_data", "add_contact_way", "get_contact_way", "list_contact_way"),
        *("update_contact_way", "del_contact_way", "close_temp_chat", "add_msg_template"),
        *("remind_groupmsg_send", "cancel_groupmsg_send", "get_groupmsg_list_v2", "get_groupmsg_task"),
        *("get_groupmsg_send_result", "get_group_msg_result", "send_welcome_msg", "group_welcome_template/add"),
        *("group_welcome_template/edit", "group_welcome_template/get", "group_welcome_template/del"),
        *("get_unassigned_list", "transfer", "transfer_customer", "transfer_result"),
        *("resigned/transfer_customer", "resigned/transfer_result", "get_corp_tag_list", "add_corp_tag"),
        *("edit_corp_tag", "del_corp_tag", "mark_tag", "groupchat/list", "groupchat/get"),
        *("groupchat/add_join_way", "groupchat/get_join_way", "groupchat/update_join_way"),
        *("groupchat/del_join_way", "customer_acquisition/list_link", "customer_acquisition/get"),
        *("customer_acquisition/create_link", "customer_acquisition/update_link"),
        *("customer_acquisition/delete_link", "customer_acquisition/customer", "customer_acquisition_quota"),
        *("customer_acquisition/statistic", "customer_acquisition/get_chat_info"),
    ],
    "media": [
        *("upload", "uploadimg", "get", "upload_by_url", "get_upload_by_url_result"),
    ],
    "user": [
        *("get", "simplelist", "list", "list_id"),
    ],
    "department": [
        *("simplelist", "get", "list"),
    ],
    "message": [
        *("send",),
    ],
    "": [
        *("getcallbackip", "get_api_domain_ip"),
    ],
}  # fmt: skip


def test_nothing_that_customer_contact_needs_is_missing() -> None:
    named = {f"{below}/{name}".lstrip("/") for below, names in NAMED.items() for name in names}
    assert named <= set(calls())


@each_call
def test_the_name_is_the_path(entry: Entry) -> None:
    first, _, rest = entry.path.rpartition("/") if "/" not in entry.path else entry.path.partition("/")
    assert entry.resource == BELOW.get(first, first)
    assert entry.name == rest.replace("/", "_")
    assert entry.iterator is None or entry.iterator.__name__ == f"iter_{entry.name}"


@each_call
def test_the_stand_in_has_a_route_with_the_right_verb(entry: Entry) -> None:
    assert entry.path in api.ROUTES, f"tests/simulator has no route for {entry.path}"


@each_call
def test_the_docstring_names_doc_parameters_and_answer(entry: Entry) -> None:
    about, rest = entry.described()
    assert re.search(r"\. Doc \d{5,6}\.$", entry.summary), "the first line ends with the number of WeCom's page"
    missing = [parameter.name for parameter in entry.parameters if not about.get(parameter.name)]
    assert not missing, f"not described: {', '.join(missing)}"
    assert rest.startswith("→ "), "the answer's shape"
    assert entry.doc.count("→") == 1


@each_call
def test_the_answer_has_a_type_that_tools_see(entry: Entry) -> None:
    answer = inspect.signature(entry.method).return_annotation
    assert answer is DownloadedFile or "dict[str" in str(answer)


def test_every_public_method_of_a_resource_is_a_call_or_an_iterator() -> None:
    known = {(entry.resource, entry.name) for entry in CALLS}
    known |= {(entry.resource, f"iter_{entry.name}") for entry in CALLS if entry.iterator}
    client = WeComClient("ww1", "secret")
    for resource in {entry.resource for entry in CALLS} - {""}:
        methods = {name for name in dir(getattr(client, resource)) if not name.startswith("_")}
        assert {(resource, name) for name in methods} <= known
