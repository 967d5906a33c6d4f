"""客户群: group chats with customers, and the ways to join them. Docs 92120, 92122, 92229, 92133."""

from collections.abc import Mapping, Sequence
from typing import Any

from .calls import POST, Fields, Resource, paginate
from .limits import an_object, characters, days, entries, one_of, within


class GroupChats(Resource):
    """Calls below externalcontact/groupchat/."""

    @POST("externalcontact/groupchat/list")
    def groupchat_list(
        self,
        limit: int = 1000,
        status_filter: int | None = None,
        owner_filter: Mapping[str, Any] | None = None,
        cursor: str | None = None,
    ) -> Fields:
        """The group chats of the members in the app's range. Doc 92120.

        limit: entries per page, 1 to 1000; WeCom requires it. status_filter: 0 all, 1 the owner left, 2 being
        transferred, 3 transferred. owner_filter: {"userid_list": at most 100 owners}; needed where the range is above
        1000 members. cursor: next_cursor of the previous page.
        → {"group_chat_list": [{chat_id, status}], "next_cursor"}
        Errors: BadRequest 81017 for too many owners.
        """
        within("limit", limit, 1, 1000)
        one_of("status_filter", status_filter, 0, 1, 2, 3)
        if owner_filter is not None:
            entries("owner_filter.userid_list", an_object("owner_filter", owner_filter).get("userid_list"), 100)
        return {"status_filter": status_filter, "owner_filter": owner_filter, "cursor": cursor, "limit": limit}

    iter_groupchat_list = paginate(groupchat_list, "group_chat_list")

    @POST("externalcontact/groupchat/get")
    def groupchat_get(self, chat_id: str, need_name: int | None = None) -> Fields:
        """A group chat and who is in it. Doc 92122.

        chat_id: its id. need_name: 1 to get the members' names too.
        → {"group_chat": {chat_id, name, owner, create_time, notice, "member_list": [{userid, type: 1 member | 2
        customer, unionid, join_time, join_scene: 1 invited | 2 by link | 3 by code, invitor, group_nickname, name,
        state}], "admin_list": [{userid}], member_version}}
        Errors: Final 40050 no such chat.
        """
        one_of("need_name", need_name, 0, 1)
        return {"chat_id": chat_id, "need_name": need_name}

    @POST("externalcontact/groupchat/add_join_way")
    def groupchat_add_join_way(
        self,
        scene: int,
        chat_id_list: Sequence[str],
        remark: str | None = None,
        auto_create_room: int | None = None,
        room_base_name: str | None = None,
        room_base_id: int | None = None,
        state: str | None = None,
        mark_source: bool | None = None,
    ) -> Fields:
        """Create a way to join group chats. Keep its config_id: only the app that created it can manage it. Doc 92229.

        scene: 1 in a mini-program, 2 by QR code. chat_id_list: at most 5 group chats. remark: a note for yourself, cut
        after 30 characters. auto_create_room: 1 (the default) creates a new chat when these are full, 0 does not.
        room_base_name: the name of new chats, at most 40 characters, to which a number is added. room_base_id: the
        first of these numbers. state: the channel, at most 30 characters; groupchat_get returns it. mark_source: not
        described in the documentation known to us.
        → {"config_id": id}
        """
        _check(scene, chat_id_list, auto_create_room, room_base_name, state)
        return {
            "scene": scene,
            "remark": remark,
            "auto_create_room": auto_create_room,
            "room_base_name": room_base_name,
            "room_base_id": room_base_id,
            "chat_id_list": chat_id_list,
            "state": state,
            "mark_source": mark_source,
        }

    @POST("externalcontact/groupchat/get_join_way")
    def groupchat_get_join_way(self, config_id: str) -> Fields:
        """A way to join group chats. Doc 92229.

        config_id: as returned by groupchat_add_join_way.
        → {"join_way": {config_id, scene, remark, auto_create_room, room_base_name, room_base_id, chat_id_list, qr_code,
        state}}
        """
        return {"config_id": config_id}

    @POST("externalcontact/groupchat/update_join_way")
    def groupchat_update_join_way(
        self,
        config_id: str,
        scene: int,
        chat_id_list: Sequence[str],
        remark: str | None = None,
        auto_create_room: int | None = None,
        room_base_name: str | None = None,
        room_base_id: int | None = None,
        state: str | None = None,
        mark_source: bool | None = None,
    ) -> Fields:
        """Replace a way to join group chats: every field is required again. Doc 92229.

        config_id: its id. scene, chat_id_list, remark, auto_create_room, room_base_name, room_base_id, state,
        mark_source: as for groupchat_add_join_way.
        → {} with errcode 0.
        """
        _check(scene, chat_id_list, auto_create_room, room_base_name, state)
        return {
            "config_id": config_id,
            "scene": scene,
            "remark": remark,
            "auto_create_room": auto_create_room,
            "room_base_name": room_base_name,
            "room_base_id": room_base_id,
            "chat_id_list": chat_id_list,
            "state": state,
            "mark_source": mark_source,
        }

    @POST("externalcontact/groupchat/del_join_way")
    def groupchat_del_join_way(self, config_id: str) -> Fields:
        """Delete a way to join group chats. Doc 92229.

        config_id: as returned by groupchat_add_join_way.
        → {} with errcode 0.
        """
        return {"config_id": config_id}

    @POST("externalcontact/groupchat/statistic")
    def groupchat_statistic(
        self,
        day_begin_time: int,
        owner_filter: Mapping[str, Any],
        day_end_time: int | None = None,
        order_by: int | None = None,
        order_asc: int | None = None,
        offset: int | None = None,
        limit: int | None = None,
    ) -> Fields:
        """Statistics of group chats, by owner. Doc 92133.

        day_begin_time: Unix seconds of the first day, within the last 180. day_end_time: of the last one, yesterday at
        the latest and at most 30 days later; the first one by default. owner_filter: {"userid_list": at most 100
        owners}. order_by: 1 new chats, 2 chats, 3 new members, 4 members. order_asc: 1 or 0 (the default). offset:
        owners before this page. limit: owners per page, 500 by default, at most 1000.
        → {"total", "next_offset", "items": [{owner, "data": {new_chat_cnt, chat_total, chat_has_msg, new_member_cnt,
        member_total, member_has_msg, msg_total, migrate_trainee_chat_cnt}}]}
        Errors: BadRequest 600018 for a period that WeCom does not accept, such as one that ends today.
        """
        days("day_begin_time, day_end_time", day_begin_time, day_end_time, 30)
        entries("owner_filter.userid_list", an_object("owner_filter", owner_filter).get("userid_list"), 100)
        one_of("order_by", order_by, 1, 2, 3, 4)
        one_of("order_asc", order_asc, 0, 1)
        within("offset", offset, 0)
        within("limit", limit, 1, 1000)
        return {
            "day_begin_time": day_begin_time,
            "day_end_time": day_end_time,
            "owner_filter": owner_filter,
            "order_by": order_by,
            "order_asc": order_asc,
            "offset": offset,
            "limit": limit,
        }

    iter_groupchat_statistic = paginate(groupchat_statistic, "items", by="offset")

    @POST("externalcontact/groupchat/statistic_group_by_day")
    def groupchat_statistic_group_by_day(
        self, day_begin_time: int, owner_filter: Mapping[str, Any], day_end_time: int | None = None
    ) -> Fields:
        """Statistics of group chats, by day. Doc 92133.

        day_begin_time, day_end_time, owner_filter: as for groupchat_statistic.
        → {"items": [{stat_time, "data": {as for groupchat_statistic}}]}
        Errors: as for groupchat_statistic.
        """
        days("day_begin_time, day_end_time", day_begin_time, day_end_time, 30)
        entries("owner_filter.userid_list", an_object("owner_filter", owner_filter).get("userid_list"), 100)
        return {"day_begin_time": day_begin_time, "day_end_time": day_end_time, "owner_filter": owner_filter}


def _check(
    scene: int,
    chat_id_list: Sequence[str],
    auto_create_room: int | None,
    room_base_name: str | None,
    state: str | None,
) -> None:
    one_of("scene", scene, 1, 2)
    entries("chat_id_list", chat_id_list, 5, least=1)
    one_of("auto_create_room", auto_create_room, 0, 1)
    characters("room_base_name", room_base_name, 40)
    characters("state", state, 30)
