"""WeCom's API. `WeComClient` makes the calls; the errors are sorted by what the caller can do."""

from tasks.wecom.client import WeComClient
from tasks.wecom.errors import InvalidRequest, WeComAPIError, WeComError

__all__ = ["InvalidRequest", "WeComAPIError", "WeComClient", "WeComError"]
