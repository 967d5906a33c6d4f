"""Placeholders from a CRM, for welcomes and remarks: `{crm.level|会员}` and `{crm.consultant}`.

Install it wherever wecom-welcome runs (each role asks), and restart:

    .venv/bin/pip install deploy/examples/crm_placeholders

    CRM_URL=https://crm.example.com/customers     asked for CRM_URL/EXTERNAL_USERID; answers {"level": "金卡", …}
    CRM_TOKEN=…                                   sent as a bearer token

They are variables of the environment of each role: of .env, wecom-welcome reads its own settings alone.
"""

import os
from urllib.parse import quote

import urllib3

placeholders = {  # name → the longest value in bytes (64 unless it says so, 512 at most), and what the editor shows
    "level": {"bytes": 24, "zh": "客户等级", "en": "Customer level", "example": "金卡会员"},
    "consultant": {"bytes": 48, "zh": "专属顾问", "en": "Consultant", "example": "李老师"},
}

_http = urllib3.PoolManager(maxsize=16, retries=False)


def values(request, seconds):
    """What the CRM knows of the customer who was just added. Called in several threads at once.

    After `seconds` nobody waits for the answer any more, and the text's fallback is sent. So it is also where the
    CRM does not know the customer, and where this raises.
    """
    answer = _http.request(
        "GET",
        f"{os.environ['CRM_URL']}/{quote(request.external_user_id, safe='')}",
        headers={"Authorization": f"Bearer {os.environ.get('CRM_TOKEN', '')}"},
        timeout=urllib3.Timeout(total=seconds),
    )
    if answer.status == 404:
        return {}
    if answer.status != 200:
        raise RuntimeError(f"the CRM answers {answer.status}")
    known = answer.json()
    return {name: known.get(name) for name in request.names}
