"""Every call: its name is its path, its docstring is complete, the stand-in answers it, and it needs no other code."""

import ast
import inspect
import re
import sys
from pathlib import Path

import pytest

import tasks.wecom
from tasks.wecom import WeComClient
from tasks.wecom.calls import DownloadedFile
from tasks.wecom.catalogue import Entry, calls
from tests.simulator import api

CALLS = list(calls().values())
BELOW = {"externalcontact": "external_contact"}  # chapters that are not called as their paths begin

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
    chapter, _, rest = entry.path.rpartition("/") if "/" not in entry.path else entry.path.partition("/")
    assert entry.chapter == BELOW.get(chapter, chapter)
    assert entry.name == rest.replace("/", "_")
    assert entry.each is None or entry.each.__name__ == f"iter_{entry.name}"


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


def test_every_public_method_of_a_chapter_is_a_call_or_an_iterator() -> None:
    known = {(entry.chapter, entry.name) for entry in CALLS}
    known |= {(entry.chapter, f"iter_{entry.name}") for entry in CALLS if entry.each}
    client = WeComClient("ww1", "secret")
    for chapter in {entry.chapter for entry in CALLS} - {""}:
        methods = {name for name in dir(getattr(client, chapter)) if not name.startswith("_")}
        assert {(chapter, name) for name in methods} <= known


def test_the_client_could_be_lifted_out_of_the_project() -> None:
    allowed = {*sys.stdlib_module_names, "urllib3", "redis"}
    for path in Path(tasks.wecom.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.split(".")[0] in allowed or name.startswith("tasks.wecom"), f"{path.name} imports {name}"
