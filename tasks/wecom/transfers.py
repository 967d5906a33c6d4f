"""继承: transferring customers and group chats to other members. Docs 92124, 92125, 94081, 94082, 94088, 92127."""

from collections.abc import Sequence

from .calls import POST, Fields, Resource, paginate
from .limits import LimitExceeded, characters, entries, within

ROWS = 50_000  # page_id times page_size stays below


class Transfers(Resource):
    """Calls below externalcontact/ about transfers."""

    @POST("externalcontact/get_unassigned_list")
    def get_unassigned_list(self, page_id: int | None, page_size: int | None, cursor: str | None = None) -> Fields:
        """The customers of members who left. Doc 92124.

        page_id: from 0; page_id times page_size must be below 50 000. page_size: at most 1000; None leaves it to WeCom,
        whose default is 1000. cursor: next_cursor of the previous page, in place of page_id and without that bound.
        → {"info": [{handover_userid, external_userid, dimission_time}], "is_last", "next_cursor"}
        """
        within("page_id", page_id, 0)
        within("page_size", page_size, 0, 1000)
        if cursor is None and (page_id or 0) * (page_size or 0) >= ROWS:
            raise LimitExceeded(
                "page_id", f"{page_id} pages of {page_size}", f"below {ROWS} customers; go on with cursor"
            )
        return {"page_id": page_id if cursor is None else None, "page_size": page_size, "cursor": cursor}

    iter_get_unassigned_list = paginate(get_unassigned_list, "info")

    @POST("externalcontact/transfer")
    def transfer(
        self,
        external_userid: str,
        handover_userid: str,
        takeover_userid: str,
        transfer_success_msg: str | None = None,
    ) -> Fields:
        """Transfer one customer: WeCom has replaced it by resigned_transfer_customer. Doc 92125.

        external_userid: the customer. handover_userid: the member who left. takeover_userid: the member who takes over.
        transfer_success_msg: a message to the customer, at most 200 characters.
        → {} with errcode 0.
        Errors: Final 40097 while the member has not left, 84061 when the two are not contacts.
        """
        characters("transfer_success_msg", transfer_success_msg, 200)
        return {
            "external_userid": external_userid,
            "handover_userid": handover_userid,
            "takeover_userid": takeover_userid,
            "transfer_success_msg": transfer_success_msg,
        }

    @POST("externalcontact/get_transfer_result")
    def get_transfer_result(self, external_userid: str, handover_userid: str, takeover_userid: str) -> Fields:
        """The state of a customer passed to transfer; for later calls see transfer_result. Doc 92973.

        external_userid, handover_userid, takeover_userid: as for transfer.
        → {"status": as for transfer_result, "takeover_time"}
        """
        return {
            "external_userid": external_userid,
            "handover_userid": handover_userid,
            "takeover_userid": takeover_userid,
        }

    @POST("externalcontact/transfer_customer")
    def transfer_customer(
        self,
        handover_userid: str,
        takeover_userid: str,
        external_userid: Sequence[str],
        transfer_success_msg: str | None = None,
    ) -> Fields:
        """Transfer customers of a member who is still in the corp: after 24 hours, unless they object. Doc 92125.

        handover_userid, takeover_userid: from whom, to whom; both activated, with 客户联系. external_userid: at most
        100 customers, each at most twice in 90 days. transfer_success_msg: a message to them, at most 200
        characters.
        → {"customer": [{external_userid, errcode}]}: one errcode each, where 0 means that it is in progress, 40096 no
        such external_userid, 40128 twice in 90 days already, 40129 in progress before, 40131 not the member's customer.
        """
        entries("external_userid", external_userid, 100, least=1)
        characters("transfer_success_msg", transfer_success_msg, 200)
        return {
            "handover_userid": handover_userid,
            "takeover_userid": takeover_userid,
            "external_userid": external_userid,
            "transfer_success_msg": transfer_success_msg,
        }

    @POST("externalcontact/transfer_result")
    def transfer_result(self, handover_userid: str, takeover_userid: str, cursor: str | None = None) -> Fields:
        """The state of the customers passed to transfer_customer. Doc 94088.

        handover_userid, takeover_userid: as for transfer_customer. cursor: next_cursor of the previous page; a page has
        at most 1000.
        → {"customer": [{external_userid, status: 1 done | 2 waiting | 3 refused | 4 the new member has too many
        customers | 5 unknown, takeover_time: Unix seconds, in the future while it waits, 0 if refused}], "next_cursor"}
        """
        return {"handover_userid": handover_userid, "takeover_userid": takeover_userid, "cursor": cursor}

    iter_transfer_result = paginate(transfer_result, "customer")

    @POST("externalcontact/resigned/transfer_customer")
    def resigned_transfer_customer(
        self, handover_userid: str, takeover_userid: str, external_userid: Sequence[str]
    ) -> Fields:
        """Transfer customers of a member who left within the last year: after 24 hours. Doc 94081.

        handover_userid: the member who left. takeover_userid: the member who takes over, activated, with 客户联系.
        external_userid: at most 100 customers.
        → {"customer": [{external_userid, errcode}]}: one errcode each, as for transfer_customer.
        Errors: Final 40097 while the member has not left.
        """
        entries("external_userid", external_userid, 100, least=1)
        return {
            "handover_userid": handover_userid,
            "takeover_userid": takeover_userid,
            "external_userid": external_userid,
        }

    @POST("externalcontact/resigned/transfer_result")
    def resigned_transfer_result(self, handover_userid: str, takeover_userid: str, cursor: str | None = None) -> Fields:
        """The state of the customers passed to resigned_transfer_customer. Doc 94082.

        handover_userid, takeover_userid: as for resigned_transfer_customer. cursor: next_cursor of the previous page.
        → {"customer": [{external_userid, status as for transfer_result, takeover_time}], "next_cursor"}
        """
        return {"handover_userid": handover_userid, "takeover_userid": takeover_userid, "cursor": cursor}

    iter_resigned_transfer_result = paginate(resigned_transfer_result, "customer")

    @POST("externalcontact/groupchat/transfer")
    def groupchat_transfer(self, chat_id_list: Sequence[str], new_owner: str) -> Fields:
        """Transfer the group chats of an owner who has left. Doc 92127.

        chat_id_list: 1 to 100 group chats. new_owner: the member, with 客户联系; at most 300 per day of one owner.
        → {"failed_chat_list": [{chat_id, errcode, errmsg}]}: those that were not transferred: 90500 the owner has not
        left, 90501 no chat with customers, 90503 it is full, 90504 the same owner, 90507 in progress, 90508 done.
        """
        entries("chat_id_list", chat_id_list, 100, least=1)
        return {"chat_id_list": chat_id_list, "new_owner": new_owner}

    @POST("externalcontact/groupchat/onjob_transfer")
    def groupchat_onjob_transfer(self, chat_id_list: Sequence[str], new_owner: str) -> Fields:
        """Transfer the group chats of an owner who is still in the corp. Doc 95703.

        chat_id_list: 1 to 100 group chats, each at most twice in 90 days. new_owner: the member, with 客户联系.
        → {"failed_chat_list": [{chat_id, errcode, errmsg}]}: those that were not transferred: 90502 the owner has left,
        and otherwise as for groupchat_transfer.
        """
        entries("chat_id_list", chat_id_list, 100, least=1)
        return {"chat_id_list": chat_id_list, "new_owner": new_owner}
