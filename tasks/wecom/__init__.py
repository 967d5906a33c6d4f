"""WeCom's API. `WeComClient` makes the calls; the errors are sorted by what the caller can do."""

from tasks.wecom.client import WeComClient
from tasks.wecom.errors import WeComAPIError, WeComError

__all__ = ["WeComAPIError", "WeComClient", "WeComError"]
