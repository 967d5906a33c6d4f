"""客户联系: customers and their members. Docs 92114, 92137, 92571."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.wecom.client import WeComClient


class ExternalContact:
    """Calls below externalcontact/. Each answers WeCom's JSON as a dict."""

    def __init__(self, client: "WeComClient") -> None:
        self._client = client

    def get_follow_user_list(self) -> dict[str, Any]:
        """The members with 客户联系, cut to the app's visible range: {"follow_user": [userid]}. Doc 92571."""
        return self._client.get("externalcontact/get_follow_user_list")

    def get(self, external_userid: str) -> dict[str, Any]:
        """A customer: {"external_contact": {name, type 1 WeChat | 2 WeCom, …}, "follow_user": [...]}. Doc 92114."""
        return self._client.get("externalcontact/get", {"external_userid": external_userid})

    def send_welcome_msg(self, template: Mapping[str, Any]) -> dict[str, Any]:
        """Greet a customer: {"welcome_code", "text": {"content" ≤ 4000 bytes}, "attachments": [≤ 9]}. Doc 92137.

        The code lives 20 seconds and works once: Final 41050 when it is used, unknown or too old, 41051 when the two
        already chat, Busy 41096 while another app is sending.
        """
        return self._client.post("externalcontact/send_welcome_msg", template)
