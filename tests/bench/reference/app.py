"""The reference: how most would write this today, from the READMEs of Flask, Celery and wechatpy. Not part of the product.

    gunicorn --workers 2 app:app
    celery --app app.celery worker

Nothing here is slower than it need be: the crypto and the client are made once, and the token is kept in wechatpy's default
store, memory, which costs no round trip (each of prefork's processes fetches its own token once).
"""

import logging
import os

from celery import Celery
from flask import Flask, abort, request
from wechatpy.exceptions import InvalidSignatureException, WeChatClientException
from wechatpy.work import WeChatClient, parse_message
from wechatpy.work.crypto import WeChatCrypto
from wechatpy.work.events import ChangeExternalContactEvent
from wechatpy.work.exceptions import InvalidCorpIdException

CORP_ID = os.environ["WECOM_CORP_ID"]
SECRET = os.environ["WECOM_CORP_SECRET"]
TOKEN = os.environ["WECOM_TOKEN"]
ENCODING_AES_KEY = os.environ["WECOM_ENCODING_AES_KEY"]
API_BASE = os.environ.get("WECOM_API_BASE", "https://qyapi.weixin.qq.com")
WELCOME_TEXT = os.environ["WELCOME_TEXT"]

logger = logging.getLogger(__name__)


class Client(WeChatClient):
    """wechatpy's client, pointed at another host (it spells the token's address out instead of using API_BASE_URL)."""

    API_BASE_URL = f"{API_BASE}/cgi-bin/"

    def fetch_access_token(self):
        return self._fetch_access_token(
            url=f"{self.API_BASE_URL}gettoken", params={"corpid": self.corp_id, "corpsecret": self.secret}
        )


app = Flask(__name__)
celery = Celery("reference", broker=os.environ["REDIS_URL"])
crypto = WeChatCrypto(TOKEN, ENCODING_AES_KEY, CORP_ID)
client = Client(CORP_ID, SECRET)


@celery.task
def send_welcome(welcome_code):
    try:
        client.external_contact.send_welcome_msg({"welcome_code": welcome_code, "text": {"content": WELCOME_TEXT}})
    except WeChatClientException as error:
        logger.warning("welcome not sent: %s", error.errcode)


@app.get("/callback")
def verify():
    args = request.args
    try:
        return crypto.check_signature(args["msg_signature"], args["timestamp"], args["nonce"], args["echostr"])
    except (InvalidSignatureException, InvalidCorpIdException):
        abort(403)


@app.post("/callback")
def callback():
    args = request.args
    try:
        xml = crypto.decrypt_message(request.data, args["msg_signature"], args["timestamp"], args["nonce"])
    except (InvalidSignatureException, InvalidCorpIdException):
        abort(403)
    message = parse_message(xml)
    if isinstance(message, ChangeExternalContactEvent) and message.welcome_code:
        send_welcome.delay(message.welcome_code)
    return "success"
