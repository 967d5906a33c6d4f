"""通讯录: members. Doc 90196."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.wecom.client import WeComClient


class Members:
    """Calls below user/. Each answers WeCom's JSON as a dict."""

    def __init__(self, client: "WeComClient") -> None:
        self._client = client

    def get(self, userid: str) -> dict[str, Any]:
        """A member: {userid, name, alias, position, department: [id], …}, less for some apps. Doc 90196."""
        return self._client.get("user/get", {"userid": userid})
