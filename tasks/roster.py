"""Whom customers can add: the members with 客户联系 in an app's range, for people who choose one. Doc 92571.

    welcome:roster:APP    JSON of their userids, for FRESH; [] for FAILED after WeCom did not tell

Their names are those that greetings have looked up (tasks.people): WeCom is asked for no name here.
"""

import json
import time

from tasks.connections import Redis
from tasks.people import known_members
from tasks.wecom import WeComClient, WeComError

KEY = "welcome:roster:"  # + app
FRESH = 600  # seconds for which a list is taken as it is
FAILED = 60  # seconds for which nobody asks again after WeCom did not tell
MOST = 200  # members; beyond that a list is nothing to choose from


def roster(client: Redis, app: str, wecom: WeComClient, patience: float) -> dict[str, str]:
    """userid → name ("" where it is not known), at most MOST; waits for WeCom `patience` seconds at most.

    Empty when WeCom does not tell. Raises redis.RedisError.
    """
    kept = client.get(KEY + app)
    if kept is None:
        members, life = _asked(wecom.until(time.monotonic() + patience))
        client.set(KEY + app, json.dumps(members), ex=life)
    else:
        members = json.loads(kept)
    known = known_members(client, app, members)
    return {member: known.get(member, ("", ""))[0] for member in members}


def _asked(wecom: WeComClient) -> tuple[list[str], int]:
    try:
        members = wecom.external_contact.get_follow_user_list()["follow_user"]
    except WeComError:
        return [], FAILED
    return sorted(str(one) for one in members)[:MOST], FRESH
