"""Everything that is state, out of Redis and into one file, and back.

A backup is a .zip:
    manifest.json      {"format": "wecom-welcome backup", "version": 1, "state": "1.0", "at": Unix seconds,
                       "keys": how many}; version: of this file; state: of what is in it (tasks.storage.formats)
    state.jsonl        a line for each key: {"key", "type": string | hash | zset, "value", "life": ms or null}
    media/SHA256       the bytes of each file that welcome books show

The table of tasks.storage.keys says what is in it. Tokens, session keys, queues and welcome codes are not: they are
secrets, or of the moment.
"""

import errno
import hashlib
import json
import math
import os
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeAlias

import redis

from tasks.books.media_store import MediaStore
from tasks.ledger.rows import for_backup, from_row, index
from tasks.reasons import Kind
from tasks.storage import formats, keys, replies
from tasks.storage.connections import Redis
from tasks.storage.keys import Backup, Forget

FORMAT = "wecom-welcome backup"
VERSION = 1
_BATCH = 500
_READ = 100  # keys whose values are read at once: some are as large as a book
_VALUE: Mapping[str, Callable[[Any, str], object]] = {  # type → what asks for the value
    "string": lambda pipe, key: pipe.get(key),
    "hash": lambda pipe, key: pipe.hgetall(key),
    "zset": lambda pipe, key: pipe.zrange(key, 0, -1, withscores=True),
}


Progress: TypeAlias = Callable[[int, int], None]  # (done, of how many)


def _unseen(_: int, __: int) -> None:
    """Progress that nobody looks at."""


class BackupError(Exception):
    """A file that is no backup, or not one for here; the message says what to do."""


def backup(client: Redis, file: Path, force: bool = False, progress: Progress = _unseen) -> int:
    """Write everything that is state to a file that only its owner can read. → how many keys.

    The file is there whole, on the disk, or not at all. Raises OSError; FileExistsError if it is there already, unless
    `force`.
    """
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    if file.exists() and not force:  # before the work, and again at its end
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(file))
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # mode 0600: it has customers' names
    try:
        with os.fdopen(handle, "wb") as out:
            count = write(client, out, progress)
            out.flush()
            os.fsync(out.fileno())
        _put_in_place(Path(name), file, force)
    finally:
        Path(name).unlink(missing_ok=True)
    return count


def write(client: Redis, out: IO[bytes], progress: Progress = _unseen) -> int:
    """Write everything that is state. → how many keys. `progress`: told (done, of about how many)."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        count, total = 0, int(client.dbsize())
        with archive.open("state.jsonl", "w") as lines:
            for line in _lines(client):
                lines.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
                count += 1
                progress(count, total)
        contents = MediaStore(client, limit=0)
        for number, sha256 in enumerate(contents.sizes(), count + 1):
            content = contents.get(sha256)
            if content is not None:
                archive.writestr(f"media/{sha256}", content)
            progress(number, total)
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "state": str(formats.STATE),
            "at": int(time.time()),
            "keys": count,
        }
        archive.writestr("manifest.json", json.dumps(manifest))
    return count


def _put_in_place(made: Path, file: Path, force: bool) -> None:
    """Give a file that is complete its name, and never another's unless `force`. Raises OSError."""
    if not force:
        try:
            os.link(made, file)
        except FileExistsError:  # somebody has made it meanwhile
            raise
        except OSError:  # a file system without hard links
            if file.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(file)) from None
        else:
            return
    made.replace(file)


def restore(client: Redis, file: Path, force: bool = False, progress: Progress = _unseen) -> int:
    """Put a backup's state in place. → how many keys. Raises BackupError or OSError, before anything has changed.

    `force`: even where there is state already, all of which goes but for the events that are being worked on. A book
    gets a number that workers have not seen, so that those that run need no restart.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            total = _check(archive)
            if not force and any(key != keys.AUDIT for key in _keys(client)):
                raise BackupError("there is state here already; `restore --force` replaces all of it")
            before = {app: int(number) for app, number in _current_books(client).items()}
            _clear(client)
            count = 0
            with client.pipeline(transaction=False) as pipe:
                for line in _read(archive):
                    _put(pipe, line)
                    count += 1
                    if count % _BATCH == 0:
                        pipe.execute()
                        progress(count, total)
                pipe.execute()
            for number, name in enumerate(_media(archive), count + 1):
                content = archive.read(name)
                client.set(keys.media(hashlib.sha256(content).hexdigest()), content)
                progress(number, total)
            _renumber(client, before)
            return count
    except zipfile.BadZipFile:
        raise BackupError(f"{file} is not a backup of wecom-welcome") from None


# ------------------------------------------------------------------------------------------------ out


def _keys(client: Redis) -> Iterator[str]:
    """The keys that are state, each book's number before its revisions: those it counts are then all there."""
    books = sorted(client.scan_iter(match=keys.book("*"), count=1000))
    yield from sorted(set(books), key=lambda key: (key.count(":"), key))
    seen = set(books)
    for key in client.scan_iter(match=keys.ALL, count=1000):
        if key not in seen and _is_kept(key):
            seen.add(key)
            yield key


def _is_kept(key: str) -> bool:
    known = keys.find(key)
    return known is not None and known.backup is Backup.LINE


def _lines(client: Redis) -> Iterator[dict[str, Any]]:
    numbers = {keys.book(app): number for app, number in _current_books(client).items()}
    for key, number in numbers.items():  # read first: a revision that is saved meanwhile is of no concern
        yield {"key": key, "type": "string", "value": number, "life": None}
    wanted = (key for key in _keys(client) if key not in numbers)
    while some := list(islice(wanted, _READ)):
        yield from _read_lines(client, some)


def _read_lines(client: Redis, wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The lines of some keys, in two round trips. One that is gone meanwhile, or none of ours, has none."""
    with client.pipeline(transaction=False) as pipe:
        for key in wanted:
            pipe.type(key)
        kinds = pipe.execute()
        found = [(key, kind) for key, kind in zip(wanted, kinds, strict=True) if kind in _VALUE]
        for key, kind in found:
            _VALUE[kind](pipe, key)
            pipe.pttl(key)
        answers = iter(pipe.execute(raise_on_error=False))  # another type by now: WRONGTYPE
    for key, kind in found:
        value, life = next(answers), next(answers)
        if isinstance(value, redis.ResponseError) or not value:
            continue
        if kind == "zset":
            value = dict(replies.scored(value))
        line = {"key": key, "type": kind, "value": value, "life": life if life > 0 else None}
        yield _without_secrets(line)


def _without_secrets(line: dict[str, Any]) -> dict[str, Any]:
    if not line["key"].startswith(keys.event("")):
        return line
    return line | {"value": for_backup(line["value"])}


def _current_books(client: Redis) -> Mapping[str, str]:
    """App → number."""
    books = [key for key in client.scan_iter(match=keys.book("*"), count=1000) if key.count(":") == 2]
    return {
        key.removeprefix(keys.book("")): value
        for key, value in zip(books, replies.texts_or_none(client.mget(books)) if books else [], strict=True)
        if value is not None
    }


# ------------------------------------------------------------------------------------------------ in


def _media(archive: zipfile.ZipFile) -> list[str]:
    return [name for name in archive.namelist() if name.startswith("media/")]


def _check(archive: zipfile.ZipFile) -> int:
    """Whether a restore would come to its end. → how many keys and files it has. Raises BackupError."""
    try:
        manifest = json.loads(archive.read("manifest.json"))
        if manifest["format"] != FORMAT:
            raise ValueError
        version = int(manifest["version"])
        count = int(manifest["keys"])
        state = manifest.get("state")  # None: of before 1.0
    except (KeyError, ValueError, TypeError):
        raise BackupError(f"{archive.filename} is not a backup of wecom-welcome") from None
    if version > VERSION:
        raise BackupError(f"the backup is of version {version}, and this program reads {VERSION}; update it first")
    try:
        formats.check(None if state is None else str(state), "the state in the backup")
    except formats.FormatRefused as error:
        raise BackupError(str(error)) from None
    if sum(1 for _ in _read(archive)) != count or archive.testzip() is not None:
        raise BackupError(f"{archive.filename} is damaged; use another backup")
    return count + len(_media(archive))


def _read(archive: zipfile.ZipFile) -> Iterator[dict[str, Any]]:
    with archive.open("state.jsonl") as lines:
        for number, text in enumerate(lines, 1):
            try:
                line = json.loads(text)
                _check_line(line)
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
                raise BackupError(f"line {number} of the backup's state is damaged; use another backup") from None
            yield _without_secrets(line)


def _check_line(line: dict[str, Any]) -> None:
    """Whether Redis takes a line, and the product reads it again. Raises whatever its values cannot be read with."""
    known = keys.find(line["key"])
    if known is None or known.backup is not Backup.LINE or known.type != line["type"]:
        raise ValueError
    value, life = line["value"], line["life"]
    if life is not None and (type(life) is not int or life <= 0):
        raise ValueError
    texts = [line["key"]]
    if line["type"] == "string":
        texts.append(value)
    else:
        if not value:  # Redis has no empty ones
            raise ValueError
        texts += value.keys()
        if line["type"] == "hash":
            texts += value.values()
        elif not all(type(score) in (int, float) and math.isfinite(score) for score in value.values()):
            raise ValueError
    for one in texts:
        if type(one) is not str:
            raise TypeError
        one.encode()  # half a surrogate pair is in no UTF-8
    _check_meaning(line["key"], value)


def _check_meaning(key: str, value: Any) -> None:
    """Whether rows and books can be read. Raises whatever they cannot be read with."""
    if key.startswith(keys.event("")):
        from_row(key.removeprefix(keys.event("")), for_backup(value))
    elif key.startswith(keys.book("")):
        part = key.removeprefix(keys.book("")).split(":")
        if len(part) == 1 and int(value) < 1:
            raise ValueError
        if len(part) == 3 and type(json.loads(value)) is not dict:
            raise ValueError


def _clear(client: Redis) -> None:
    working = {identity for identity, _ in client.zscan_iter(keys.DUE, count=_BATCH)}
    for key in list(_keys(client)):
        known = keys.find(key)
        if key == keys.AUDIT:  # who restores is in it, and who did what before
            continue
        if known is not None and known.forget in (Forget.ID, Forget.INDEX):
            gone = [identity for identity, _ in client.zscan_iter(key, count=_BATCH) if identity not in working]
            for start in range(0, len(gone), _BATCH):
                client.zrem(key, *gone[start : start + _BATCH])
        elif key.removeprefix(keys.event("")) not in working:
            client.delete(key)


def _put(pipe: Redis, line: Mapping[str, Any]) -> None:
    key, value = line["key"], line["value"]
    if line["type"] == "string":
        pipe.set(key, value)
    elif line["type"] == "hash":
        pipe.hset(key, mapping=value)
    else:
        pipe.zadd(key, value)
    if line["life"] is not None:
        pipe.pexpire(key, line["life"])
    if key.startswith(keys.event("")):
        row = from_row(key.removeprefix(keys.event("")), value)
        if row.reason and row.reason.kind is Kind.UNFINISHED_IN_BACKUP and not row.rehearsal:
            pipe.zadd(keys.missed(row.app), {row.id: row.received_ms})
            pipe.zadd(index(row.app, "outcome", str(row.outcome)), {row.id: row.received_ms})


def _renumber(client: Redis, before: Mapping[str, int]) -> None:
    """Give each restored book a number beyond those that were here: workers keep what they have read under one."""
    for app, number in _current_books(client).items():
        if app in before:
            new = max(int(number), before[app]) + 1
            for part in (keys.revision, keys.revision_about):
                stored = client.get(part(app, number))
                if stored is not None:
                    client.set(part(app, new), stored)
            client.set(keys.book(app), new)
