"""A file that was uploaded: its bytes, and whether WeCom would take it."""

import os
from dataclasses import replace

from werkzeug.datastructures import FileStorage

from tasks.books.media_store import described
from tasks.templates.media_kind import LARGEST, Use, refusal
from webhook.console.language import sentence
from webhook.console.layout import cut


def received(upload: FileStorage, use: Use) -> tuple[bytes, str | None]:
    """(the bytes, why WeCom would not take them for this use or None). What is too large is not read to its end."""
    size = upload.stream.seek(0, os.SEEK_END)
    upload.stream.seek(0)
    content = upload.stream.read(LARGEST + 1)
    refused = refusal(replace(described(cut(upload.filename or ""), content), size=size), use)
    return content, None if refused is None else sentence(refused)
