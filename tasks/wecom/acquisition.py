"""获客助手: links by which customers outside WeCom add members. Docs 97297, 97298, 97375, 100130.

They need a self-built app that is listed there as 可调用应用; the secret of 客户联系 does not work. Customers who
open a link's URL with `customer_channel=STATE` appended arrive with this State, cut after 64 bytes.
"""

from collections.abc import Mapping
from typing import Any

from .calls import GET, POST, Fields, Resource, paginate
from .limits import an_object, at_least_one, characters, days, entries, within


class Acquisition(Resource):
    """Calls below externalcontact/customer_acquisition."""

    @POST("externalcontact/customer_acquisition/list_link")
    def customer_acquisition_list_link(self, limit: int | None = None, cursor: str | None = None) -> Fields:
        """The ids of the links. Doc 97297.

        limit: entries per page, at most 100. cursor: next_cursor of the previous page.
        → {"link_id_list": [link_id], "next_cursor"}
        """
        within("limit", limit, 1, 100)
        return {"limit": limit, "cursor": cursor}

    iter_customer_acquisition_list_link = paginate(customer_acquisition_list_link, "link_id_list")

    @POST("externalcontact/customer_acquisition/get")
    def customer_acquisition_get(self, link_id: str) -> Fields:
        """A link. Doc 97297.

        link_id: its id.
        → {"link": {link_id, link_name, url, create_time, skip_verify}, "range": {"user_list": [userid],
        "department_list": [id]}, "priority_option": {priority_type, priority_userid_list}}
        """
        return {"link_id": link_id}

    @POST("externalcontact/customer_acquisition/create_link")
    def customer_acquisition_create_link(
        self,
        link_name: str,
        range: Mapping[str, Any],
        skip_verify: bool | None = None,
        priority_option: Mapping[str, Any] | None = None,
        mark_source: bool | None = None,
    ) -> Fields:
        """Create a link. Doc 97297.

        link_name: at most 30 characters. range: the members that its customers add, {"user_list": [userid],
        "department_list": [id]}, not both empty, at most 500 members. skip_verify: whether members need not confirm,
        true by default. priority_option: {"priority_type", "priority_userid_list"}, for some industries. mark_source:
        true by default; for 营销获客 only.
        → {"link": {link_id, link_name, url, create_time}}
        """
        characters("link_name", link_name, 30, least=1)
        _check(range)
        return {
            "link_name": link_name,
            "range": range,
            "skip_verify": skip_verify,
            "priority_option": priority_option,
            "mark_source": mark_source,
        }

    @POST("externalcontact/customer_acquisition/update_link")
    def customer_acquisition_update_link(
        self,
        link_id: str,
        link_name: str | None = None,
        range: Mapping[str, Any] | None = None,
        skip_verify: bool | None = None,
        priority_option: Mapping[str, Any] | None = None,
        mark_source: bool | None = None,
    ) -> Fields:
        """Update a link; what is None stays as it is. Doc 97297.

        link_id: its id. link_name, range, skip_verify, priority_option, mark_source: as for
        customer_acquisition_create_link.
        → {} with errcode 0.
        """
        characters("link_name", link_name, 30, least=1)
        if range is not None:
            _check(range)
        return {
            "link_id": link_id,
            "link_name": link_name,
            "range": range,
            "skip_verify": skip_verify,
            "priority_option": priority_option,
            "mark_source": mark_source,
        }

    @POST("externalcontact/customer_acquisition/delete_link")
    def customer_acquisition_delete_link(self, link_id: str) -> Fields:
        """Delete a link. Nothing is pushed to callbacks. Doc 97297.

        link_id: its id.
        → {} with errcode 0.
        """
        return {"link_id": link_id}

    @POST("externalcontact/customer_acquisition/customer")
    def customer_acquisition_customer(
        self, link_id: str, limit: int | None = None, cursor: str | None = None
    ) -> Fields:
        """The customers that a link brought. Doc 97298.

        link_id: its id. limit: entries per page, at most 1000. cursor: next_cursor of the previous page.
        → {"customer_list": [{external_userid, userid, chat_status: 0 has not written | 1 has, state}], "next_cursor"}
        """
        within("limit", limit, 1, 1000)
        return {"link_id": link_id, "limit": limit, "cursor": cursor}

    iter_customer_acquisition_customer = paginate(customer_acquisition_customer, "customer_list")

    @GET("externalcontact/customer_acquisition_quota")
    def customer_acquisition_quota(self) -> Fields:
        """How many customers may still be added by links. Doc 97375.

        → {"total", "balance", "quota_list": [{expire_date, balance}]}
        """
        return {}

    @POST("externalcontact/customer_acquisition/statistic")
    def customer_acquisition_statistic(self, link_id: str, start_time: int, end_time: int) -> Fields:
        """How often a link was opened, and how many customers it brought. Doc 97375.

        link_id: its id. start_time, end_time: Unix seconds, rounded down to days; at most 30 days apart, within the
        last 180.
        → {"click_link_customer_cnt", "new_customer_cnt"}
        """
        days("start_time, end_time", start_time, end_time, 30)
        return {"link_id": link_id, "start_time": start_time, "end_time": end_time}

    @POST("externalcontact/customer_acquisition/get_chat_info")
    def customer_acquisition_get_chat_info(self, chat_key: str) -> Fields:
        """The member and the customer of an event message_from_customer. Doc 100130.

        chat_key: from the event; valid for 30 minutes.
        → {"userid", "external_userid", "chat_info": {recv_msg_cnt, link_id, state}}
        """
        return {"chat_key": chat_key}


def _check(range: Mapping[str, Any]) -> None:
    an_object("range", range)
    at_least_one(**{f"range.{name}": range.get(name) for name in ("user_list", "department_list")})
    entries("range.user_list", range.get("user_list"), 500)
    entries("range.department_list", range.get("department_list"))
