"""企业群发: messages to many customers or group chats, which members confirm. Docs 92135, 93338, 97610, 97611."""

from collections.abc import Mapping
from typing import Any

from . import content
from .calls import POST, Fields, Resource, paginate
from .limits import at_least_one, days, entries, one_of, within

CUSTOMERS = 10_000
CHATS = 2_000


class GroupMessages(Resource):
    """Calls below externalcontact/ about group messages."""

    @POST("externalcontact/add_msg_template")
    def add_msg_template(self, template: Mapping[str, Any]) -> Fields:
        """Create a group message. It is a task: nothing is sent until members confirm it in their client. Doc 92135.

        template: "text" and "attachments" as for send_welcome_msg, in the older form too, and the audience:
            chat_type         single (the default): to customers; group: to group chats
            external_userid   single: at most 10 000 customers; then tag_filter has no effect
            chat_id_list      group: at most 2000 group chats
            tag_filter        single: {"group_list": [{"tag_list": [id]}]}; one of each list
            sender            the member, required for group; alone it stands for all of its customers
            allow_select      single: whether the member may choose among them, false by default
        For single, external_userid, sender and tag_filter must not all be empty.
        → {"msgid": id, "fail_list": [external_userid or chat_id]}; check fail_list: a customer receives at most as many
        messages in a month as it has days.
        """
        kind = template.get("chat_type", "single")
        one_of("chat_type", kind, "single", "group")
        entries("external_userid", template.get("external_userid"), CUSTOMERS)
        entries("chat_id_list", template.get("chat_id_list"), CHATS)
        if kind == "group":
            at_least_one(sender=template.get("sender"))
        else:
            at_least_one(**{name: template.get(name) for name in ("external_userid", "sender", "tag_filter")})
        content.message(template)
        return dict(template)

    @POST("externalcontact/remind_groupmsg_send")
    def remind_groupmsg_send(self, msgid: str) -> Fields:
        """Remind the members who have not confirmed a group message. Doc 97610.

        msgid: as returned by add_msg_template; at most three times in 24 hours.
        → {} with errcode 0.
        """
        return {"msgid": msgid}

    @POST("externalcontact/cancel_groupmsg_send")
    def cancel_groupmsg_send(self, msgid: str) -> Fields:
        """Stop a group message; what was sent stays sent. Doc 97611.

        msgid: as returned by add_msg_template.
        → {} with errcode 0.
        """
        return {"msgid": msgid}

    @POST("externalcontact/get_groupmsg_list_v2")
    def get_groupmsg_list_v2(
        self,
        chat_type: str,
        start_time: int,
        end_time: int,
        creator: str | None = None,
        filter_type: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Fields:
        """The group messages of a period. Doc 93338.

        chat_type: single or group. start_time, end_time: of their creation, Unix seconds, at most a month apart.
        creator: only those of this member. filter_type: 0 created by the corp, 1 by members, 2 both, the default.
        limit: entries per page, 50 by default, at most 100. cursor: next_cursor of the previous page.
        → {"group_msg_list": [{msgid, creator, create_time, create_type, text, attachments}], "next_cursor"}; those
        created through the API have no creator.
        """
        one_of("chat_type", chat_type, "single", "group")
        days("start_time, end_time", start_time, end_time, 31)
        one_of("filter_type", filter_type, 0, 1, 2)
        within("limit", limit, 1, 100)
        return {
            "chat_type": chat_type,
            "start_time": start_time,
            "end_time": end_time,
            "creator": creator,
            "filter_type": filter_type,
            "limit": limit,
            "cursor": cursor,
        }

    iter_get_groupmsg_list_v2 = paginate(get_groupmsg_list_v2, "group_msg_list")

    @POST("externalcontact/get_groupmsg_task")
    def get_groupmsg_task(self, msgid: str, limit: int | None = None, cursor: str | None = None) -> Fields:
        """Which members have confirmed a group message. Doc 93338.

        msgid: its id. limit: entries per page, 500 by default, at most 1000. cursor: next_cursor of the previous page.
        → {"task_list": [{userid, status: 0 not confirmed | 2 confirmed, send_time}], "next_cursor"}
        Errors: Busy 41063 right after it was created.
        """
        within("limit", limit, 1, 1000)
        return {"msgid": msgid, "limit": limit, "cursor": cursor}

    iter_get_groupmsg_task = paginate(get_groupmsg_task, "task_list")

    @POST("externalcontact/get_groupmsg_send_result")
    def get_groupmsg_send_result(
        self, msgid: str, userid: str, limit: int | None = None, cursor: str | None = None
    ) -> Fields:
        """Whom a group message has reached through one member. Doc 93338.

        msgid: its id. userid: the member. limit: entries per page, 500 by default, at most 1000. cursor: next_cursor of
        the previous page.
        → {"send_list": [{external_userid, chat_id, userid, status: 0 not sent | 1 sent | 2 no longer a contact | 3 has
        reached its limit of messages, send_time}], "next_cursor"}; of group chats, only those that it was sent to.
        Errors: Busy 41063 right after it was created.
        """
        within("limit", limit, 1, 1000)
        return {"msgid": msgid, "userid": userid, "limit": limit, "cursor": cursor}

    iter_get_groupmsg_send_result = paginate(get_groupmsg_send_result, "send_list")

    @POST("externalcontact/get_group_msg_result")
    def get_group_msg_result(self, msgid: str, limit: int | None = None, cursor: str | None = None) -> Fields:
        """The result of a group message made before 2020-11-17; for later ones see get_groupmsg_send_result. Doc 91561.

        msgid: its id. limit: entries per page, at most 10 000. cursor: next_cursor of the previous page.
        → {"check_status", "detail_list": [{external_userid or chat_id, userid, status as for get_groupmsg_send_result,
        send_time}], "next_cursor"}
        """
        within("limit", limit, 1, 10_000)
        return {"msgid": msgid, "limit": limit, "cursor": cursor}

    iter_get_group_msg_result = paginate(get_group_msg_result, "detail_list")
