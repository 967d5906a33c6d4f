"""The ids of the corp's tags, by group and name; missing tags are created. Docs 92117, 92118.

Cached in Redis for all workers, and fetched again when WeCom refuses an id. Tags are created under a lock, so that no
two workers create the same one.

    welcome:tags:CORP         hash: ["group", "name"] → id
    welcome:tags:CORP:lock    held while tags are created
"""

import json
import time
from collections.abc import Sequence

from redis.exceptions import LockError
from redis.lock import Lock

from tasks.events import ContactAdded
from tasks.storage import keys, replies
from tasks.storage.connections import Redis
from tasks.templates.model import Tag
from tasks.wecom import WeComAPIError, WeComClient, WeComError

LOCK_LIFE = 15.0  # seconds: longer than a follow-up may take, so a live holder never loses it
POLL = 0.1  # seconds between two tries to take the lock
FRESH = 24 * 3600  # seconds after which the whole map is fetched again: tags are renamed in WeCom's console
LISTED = 300.0  # seconds for which a list to choose from is not fetched again
NAME_TAKEN = 40071
NO_TAG = 40068
PATH = "externalcontact/add_corp_tag"


class TagsNotReady(WeComError):
    """Another worker holds the lock for too long, or WeCom named no id of a created tag: try again."""


class CorpTags:
    """The corps' tag ids. Thread-safe."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    def ids(
        self, wecom: WeComClient, corp_id: str, tags: Sequence[Tag], by: float, refused: Sequence[str] = ()
    ) -> list[str]:
        """The ids of `tags`, in their order; creates the tags that do not exist.

        by: a time of `time.monotonic`, also the deadline of `wecom`. refused: ids that WeCom does not know, which means
        that the cache is stale. Raises WeComError or redis.RedisError.
        """
        known = self._known(corp_id, tags)
        if self._usable(known, refused):
            return [str(one) for one in known]
        name, patience = keys.corp_tags_lock(corp_id), by - time.monotonic()
        lock = Lock(self._redis, name, LOCK_LIFE, POLL, blocking_timeout=patience, raise_on_release_error=False)
        try:
            with lock:
                known = self._known(corp_id, tags)  # another worker may have created them meanwhile
                if not self._usable(known, refused):
                    found = self._create_missing(wecom, tags)
                    self._store(corp_id, found)
                    known = [found.get(tag) for tag in tags]
        except LockError:
            raise TagsNotReady(PATH, "another worker is making tags") from None
        if None in known:
            raise TagsNotReady(PATH, "WeCom did not say the ids of the tags that it made")
        return [str(one) for one in known]

    def mark(self, wecom: WeComClient, event: ContactAdded, tags: Sequence[Tag], by: float) -> None:
        """Put `tags` on the customer of an event, for its member; one that is there stays. As `ids`. Doc 92118."""
        ids = self.ids(wecom, event.corp_id, tags, by)
        try:
            wecom.external_contact.mark_tag(event.user_id, event.external_user_id, add_tag=ids)
        except WeComAPIError as error:
            if error.errcode != NO_TAG:
                raise
            ids = self.ids(wecom, event.corp_id, tags, by, refused=ids)
            wecom.external_contact.mark_tag(event.user_id, event.external_user_id, add_tag=ids)

    def listed(self, wecom: WeComClient, corp_id: str) -> list[Tag]:
        """All tags of the corp, by group and name: what WeCom said in the last LISTED seconds, else asked for now.

        Where WeCom does not answer, what it said last. Raises WeComError where that is not known either.
        """
        name = keys.corp_tags(corp_id)
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.hkeys(name)
            pipe.ttl(name)
            fields, left = pipe.execute()
        known = sorted((Tag(*json.loads(one)) for one in replies.texts(fields)), key=_order)
        if known and left > FRESH - LISTED:
            return known
        try:
            found = _listed(wecom)
        except WeComError:
            if known:
                return known
            raise
        self._store(corp_id, found)
        return sorted(found, key=_order)

    def _known(self, corp_id: str, tags: Sequence[Tag]) -> list[str | None]:
        return replies.texts_or_none(self._redis.hmget(keys.corp_tags(corp_id), [_field(tag) for tag in tags]))

    @staticmethod
    def _usable(known: Sequence[str | None], refused: Sequence[str]) -> bool:
        return None not in known and not set(known) & set(refused)

    def _create_missing(self, wecom: WeComClient, tags: Sequence[Tag]) -> dict[Tag, str]:
        """Create those of `tags` that WeCom does not list. → tag → id of all the corp's tags."""
        found = _listed(wecom)
        missing: dict[str, list[Tag]] = {}
        for tag in tags:
            if tag not in found:
                missing.setdefault(tag.group, []).append(tag)
        for group, wanted in missing.items():
            try:
                answer = wecom.external_contact.add_corp_tag(
                    tag=[{"name": tag.name} for tag in wanted], group_name=group
                )
            except WeComAPIError as error:
                if error.errcode != NAME_TAKEN:
                    raise
                again = _listed(wecom)  # somebody has created it in WeCom's console meanwhile
                if any(tag not in again for tag in wanted):
                    raise
                found |= again
            else:
                made = answer.get("tag_group", {})
                found |= {Tag(group, one["name"]): one["id"] for one in made.get("tag", [])}
        return found

    def _store(self, corp_id: str, found: dict[Tag, str]) -> None:
        with self._redis.pipeline() as pipe:
            pipe.delete(keys.corp_tags(corp_id))
            if found:
                pipe.hset(keys.corp_tags(corp_id), mapping={_field(tag): one for tag, one in found.items()})
                pipe.expire(keys.corp_tags(corp_id), FRESH)
            pipe.execute()


def _listed(wecom: WeComClient) -> dict[Tag, str]:
    groups = wecom.external_contact.get_corp_tag_list().get("tag_group") or []
    return {
        Tag(group["group_name"], one["name"]): one["id"]
        for group in groups
        for one in group.get("tag") or []
        if not one.get("deleted") and not group.get("deleted")
    }


def _order(tag: Tag) -> tuple[str, str]:
    return tag.group, tag.name


def _field(tag: Tag) -> str:
    return json.dumps([tag.group, tag.name], ensure_ascii=False)
