"""What may be said of an exception of somebody else's code: its message may hold a customer's data or a secret."""

import traceback
from pathlib import PurePath


def where(error: BaseException) -> str:
    """The type of an exception, and the line that raised it: `KeyError at crm.py:12`."""
    lines = [
        f" at {PurePath(frame.f_code.co_filename).name}:{number}"
        for frame, number in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith("<frozen")
    ]
    return type(error).__name__[:64] + (lines[-1] if lines else "")
