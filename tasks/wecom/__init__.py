"""WeCom's API: `WeComClient` makes the calls; the errors are sorted by what the caller can do about them.

Needs urllib3, and redis where processes share the access token; nothing else of this project: the folder can be copied
out under any name.
"""

import logging

from .calls import DownloadedFile
from .client import WeComClient
from .errors import (
    BadRequest,
    Busy,
    Failure,
    Final,
    HTTPRefused,
    InvalidRequest,
    Limited,
    MediaRefused,
    Misconfigured,
    NoAnswer,
    NotSent,
    TokenRefused,
    Unanswered,
    WeComAPIError,
    WeComError,
)

__all__ = [
    "BadRequest",
    "Busy",
    "DownloadedFile",
    "Failure",
    "Final",
    "HTTPRefused",
    "InvalidRequest",
    "Limited",
    "MediaRefused",
    "Misconfigured",
    "NoAnswer",
    "NotSent",
    "TokenRefused",
    "Unanswered",
    "WeComAPIError",
    "WeComClient",
    "WeComError",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())  # what is logged, and where, is the application's to say
