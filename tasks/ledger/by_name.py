"""Rows of the ledger by the name or the remark of their customer: a scan of the newest rows, of bounded length.

No index has names, so that none outlives its row. Redis looks through rows itself, SLICE at a time so that greetings
never wait for it, and hands out those that may be meant; whether they are is decided here.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from tasks.ledger.query import Page, Wanted, keys_for, read
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.storage.places import Place, cursor_of, place_of

LOOKED = 2000  # rows looked at for one page, at the most
SLICE = 500  # rows that Redis looks at in one go: some 4 ms

_SCAN = """
-- KEYS  a set of events
-- ARGV  prefix of rows, newest ms, oldest ms, offset, how many, word, letter, characters, then fields
-- → [how many were looked at, the last one's ms, its id, then per row that may be meant: its ms, its id, name from
--    WeCom, name in the text, remark, and these fields]
local listed = redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[2], ARGV[3], 'LIMIT', ARGV[4], ARGV[5])
local word, letter, packed, some = ARGV[6], ARGV[7], ARGV[8], {}
local at = 1
while at < #packed do -- two bytes that characters begin with, how many there are, their third bytes
  local count = string.byte(packed, at + 2)
  some[string.sub(packed, at, at + 1)] = string.sub(packed, at + 3, at + 2 + count)
  at = at + 3 + count
end

local function may_be(text)
  if not text or text == '' then return false end
  text = string.lower(text)
  if string.find(text, word, 1, true) then return true end
  if packed == '' and letter == '' then return false end
  if letter ~= '' and string.find(text, letter, 1, true) then return true end
  for one in string.gmatch(text, '[\\194-\\244][\\128-\\191]+') do
    local first, second = string.byte(one, 1, 2)
    if first >= 227 and first <= 233 then
      local thirds = some[string.sub(one, 1, 2)]
      if thirds and string.find(thirds, string.sub(one, 3, 3), 1, true) then return true end
    elseif first ~= 240 or second ~= 159 then -- neither Chinese nor an emoji: it may be a letter in disguise
      return true
    end
  end
  return false
end

local last = listed[#listed]
local found = { #listed, last and redis.call('ZSCORE', KEYS[1], last) or '', last or '' }
for _, id in ipairs(listed) do
  local row = redis.call('HMGET', ARGV[1] .. id, 'values', 'customer_name', 'follow_remark')
  local named = row[1] and string.match(row[1], '"customer":"(.-)"')
  if named and string.find(named, '\\\\', 1, true) then
    local fine, values = pcall(cjson.decode, row[1])
    named = fine and values.customer
  end
  if may_be(named) or may_be(row[2]) or may_be(row[3]) then
    local values = redis.call('HMGET', ARGV[1] .. id, unpack(ARGV, 9))
    local at = redis.call('ZSCORE', KEYS[1], id)
    found[#found + 1] = { at, id, row[2], named or false, row[3], unpack(values, 1, #ARGV - 8) }
  end
end
return found
"""


@dataclass(frozen=True, slots=True)
class Named:
    """Whom is looked for. `finds`: whether texts are meant.

    word: some text in lower case that is in each text that is meant, unless one of `characters` is: Chinese ones, each
    once, and at most one letter.
    """

    finds: Callable[[str], bool]
    word: str
    characters: str = ""


def page(
    client: Redis, wanted: Wanted, named: Named, before: str | None, limit: int, listed: str | None = None
) -> Page:
    """Up to `limit` of the rows that are wanted and whose customer is meant, newest first, older than `before`.

    listed: the key of a set; only what it lists is searched. Page.newer is None. Raises ValueError for what is no
    cursor, redis.RedisError.
    """
    sets = [listed] if listed else keys_for(client, wanted)
    key = sets[0] if len(sets) == 1 else keys.EVENTS
    scan = _Scan(client, key, wanted, named, None if before is None else place_of(before))
    found: list[Place] = []
    while len(found) <= limit and scan.looked < LOOKED and not scan.ended:
        found += scan.slice()
    more = len(found) > limit
    found = found[:limit]
    rows = read(client, [identity for _, identity in found])
    if more:
        return Page(rows, cursor_of(found[-1]))
    return Page(rows) if scan.ended or scan.last is None else Page(rows, cursor_of(scan.last), whole=False)


class _Scan:
    """A walk down one set. `last`: the last place that was looked at."""

    def __init__(self, client: Redis, key: str, wanted: Wanted, named: Named, bound: Place | None) -> None:
        self._client, self._key, self._wanted, self._named = client, key, wanted, named
        self._letter = "".join(one for one in named.characters if one.isascii())[:1]
        self._packed = _packed(named.characters)
        self._skipped = 0  # rows of the newest millisecond that come before `last`
        self.last = bound
        self.looked = 0
        self.ended = False

    def slice(self) -> list[Place]:
        """The places of the next rows that are meant."""
        wanted = self._wanted
        newest = wanted.until if self.last is None else min(self.last[0], wanted.until or self.last[0])
        fields: Collection[str] = ("app", *wanted.fields)
        answer = self._client.eval(
            _SCAN,
            1,
            self._key,
            *(keys.event(""), "+inf" if newest is None else newest, wanted.since, self._skipped, SLICE),
            *(self._named.word, self._letter, self._packed),
            *fields,
        )
        count, ms, identity, rows = int(answer[0]), answer[1], answer[2], answer[3:]
        bound, self.looked = self.last, self.looked + max(count, 1)
        self.ended = count < SLICE
        if count:
            end = int(ms), str(identity)
            self._skipped = self._skipped + count if bound is not None and end[0] == bound[0] else 0
            self.last = end if bound is None or end < bound else bound
        return [place for row in rows if (place := self._meant(row, fields)) and (bound is None or place < bound)]

    def _meant(self, row: list[Any], fields: Collection[str]) -> Place | None:
        ms, identity, given, in_text, remark, *values = row
        if ms is None or identity is None or not self._wanted.holds(dict(zip(fields, values, strict=True))):
            return None
        texts = (given or in_text or "", remark or "")
        return (int(ms), identity) if any(self._named.finds(text) for text in texts if text) else None


def _packed(characters: str) -> bytes:
    """Chinese characters as the script takes them: those of the same first two bytes together."""
    thirds: dict[bytes, bytes] = {}
    for encoded in (one.encode() for one in characters):
        if len(encoded) == 3:
            thirds[encoded[:2]] = thirds.get(encoded[:2], b"") + encoded[2:]
    return b"".join(begin + bytes([len(those)]) + those for begin, those in thirds.items())
