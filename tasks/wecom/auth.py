"""Sign-in with WeCom (授权登录): the pages that a browser is sent to, and who came back. Docs 98152, 91022, 91023.

    browser ── authorize page of WeCom's ── redirect_uri?code=…&state=… ──▶ client.auth.getuserinfo(code) → userid

`state` comes back as it was sent: a–z, A–Z, 0–9, at most 128 bytes. Whether it is one of yours, for this browser, not
used before, is for you to check. The domain of `redirect_uri` must be registered with the app, else WeCom's page says
50001 and nobody comes back: 企业微信授权登录 for the QR code, 网页授权及JS-SDK for WeCom's own browser.
"""

from urllib.parse import urlencode

from .calls import GET, Fields, Resource
from .limits import LimitExceeded, at_least_one

QR_PAGE = "https://login.work.weixin.qq.com/wwlogin/sso/login"
SILENT_PAGE = "https://open.weixin.qq.com/connect/oauth2/authorize"
LONGEST_CODE = 512  # bytes


class Auth(Resource):
    """Calls below auth/."""

    @GET("auth/getuserinfo")
    def getuserinfo(self, code: str) -> Fields:
        """Who has signed in. Doc 91023.

        code: as the browser brought it, at most 512 bytes; works once, within five minutes, for its app alone.
        → {"userid"} of a member, in the app's range or not; of a linked corp's it is `corpid/userid`. Of anybody else
        {"openid", "external_userid": if it is a customer}.
        Errors: BadRequest 40029 the code is not valid: unknown, used, too old, or another app's.
        """
        at_least_one(code=code)
        if len(code.encode("utf-8", "replace")) > LONGEST_CODE:
            raise LimitExceeded("code", "a longer one", f"at most {LONGEST_CODE} bytes")
        return {"code": code}


def qr_url(corp_id: str, agent_id: str, redirect_uri: str, state: str, page: str = QR_PAGE) -> str:
    """The page with a QR code, for a browser on a desktop. Doc 98152."""
    query = {"login_type": "CorpApp", "appid": corp_id, "agentid": agent_id}
    return f"{page}?{urlencode({**query, 'redirect_uri': redirect_uri, 'state': state})}"


def silent_url(corp_id: str, agent_id: str, redirect_uri: str, state: str, page: str = SILENT_PAGE) -> str:
    """The page that asks nothing, for WeCom's own browser. Doc 91022."""
    query = {"appid": corp_id, "redirect_uri": redirect_uri, "response_type": "code", "scope": "snsapi_base"}
    return f"{page}?{urlencode({**query, 'state': state, 'agentid': agent_id})}#wechat_redirect"


def is_wecom_browser(user_agent: str) -> bool:
    """Whether a page is opened within WeCom. Doc 90315."""
    return "wxwork" in user_agent.lower()
