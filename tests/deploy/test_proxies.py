"""deploy/nginx/ and deploy/Caddyfile: the callback passes unchanged, nothing else is public."""

import json
import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.console import PASSWORD
from tests.support.documents import DEPLOY
from tests.support.front import Caddy, Front, Nginx, write_nginx
from tests.support.processes import RedisServer, free_port
from tests.support.pushes import Push, a_push, a_verification
from tests.support.servers import Server, answering, silent, whole
from tests.support.until import until
from tests.support.web import WebProcess
from webhook.callback.parsing import BODY_LIMIT
from webhook.server.connections import KEEP_ALIVE, UPLOAD_LIMIT

PUBLIC = (DEPLOY / "nginx/wecom-welcome.conf").read_text("utf-8")
NOT_PUBLIC = ["/", "/console", "/console/", "/console/login", "/metrics", "/readyz", "/readyz/intake", "/healthz",
              "//console/login", "/Console/login", "/callback/../console/login", "/callback/..%2fconsole/login",
              "/console/../callback", "/console/login/..%2f..%2fcallback", "/%63onsole/login", "/callbacks",
              "/callback/a/b", "/callback.txt",
              "/WW_verify_abc.txt/../console/login", "/WW_verify_a.html", "/x/callback", "/.env"]  # fmt: skip
CODE = "0123456789abcdef"
DEADLINE = 5  # seconds that WeCom waits for an answer (doc 90238)


@pytest.fixture(scope="module")
def program(require_tool: Callable[[str], str]) -> str:
    return require_tool("nginx")


@pytest.fixture(scope="module")
def web(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    """The real web role, told that one proxy stands in front of it."""
    settings = {"TRUSTED_PROXIES": "1", "CONSOLE_PASSWORD": PASSWORD, "WECOM_DOMAIN_VERIFICATION": f"WW_verify_{CODE}"}
    with WebProcess(tmp_path_factory.mktemp("web"), redis_server.url, **settings) as web:
        yield web


@pytest.fixture(scope="module")
def nginx(program: str, web: WebProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with Nginx(program, tmp_path_factory.mktemp("nginx"), web.port) as nginx:
        yield nginx


@pytest.fixture(scope="module", params=[Nginx, Caddy])
def proxy(request: pytest.FixtureRequest, require_tool: Callable[[str], str]) -> Callable[..., Front]:
    """(folder, the web role's port, changes of the configuration) → one of the two."""
    return partial(request.param, require_tool(request.param.__name__.lower()))


@pytest.fixture(scope="module")
def front(proxy: Callable[..., Front], web: WebProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with proxy(tmp_path_factory.mktemp("front"), web.port) as front:
        yield front


def post(front: Front, push: Push, path: str = "/callback") -> tuple[int, str]:
    answer = front.request("POST", path, params=push.query, data=push.body)
    return answer.status_code, answer.text


@pytest.mark.parametrize(
    "path", ["/callback", "/callback/default", "/callback/", "//callback", "/CALLBACK/default/", "/callback%20"]
)
def test_a_callback_is_accepted_however_its_path_was_typed_into_wecoms_page(front: Front, path: str) -> None:
    assert post(front, a_push(), path) == (200, "success")


def test_the_url_can_be_verified(front: Front) -> None:
    answer = front.request("GET", "/callback", params=a_verification(b"1616140317555161061"))
    assert (answer.status_code, answer.content) == (200, b"1616140317555161061")


def test_the_ownership_of_the_domain_can_be_verified(front: Front) -> None:
    answer = front.request("GET", f"/WW_verify_{CODE}.txt")
    assert (answer.status_code, answer.text) == (200, CODE)


@pytest.mark.parametrize("path", NOT_PUBLIC)
def test_nothing_else_is_public(front: Front, path: str) -> None:
    answer = front.request("GET", path)
    assert answer.status_code == 404
    assert "The requested URL was not found" not in answer.text  # that would be the web role's answer


def test_the_web_role_would_have_shown_the_pages_that_are_not_public(web: WebProcess) -> None:
    assert [web.get(path) for path in ("/console/login", "/metrics", "/healthz")] == [200, 200, 200]


def test_path_query_and_body_arrive_byte_for_byte(proxy: Callable[..., Front], tmp_path: Path) -> None:
    body = bytes(range(256)) * 8
    target = "/CallBack//default/?msg_signature=a%2Bb+c&echostr=%E4%BD%A0%2F==&timestamp=1&empty=&x"
    with Server(answering(whole())) as upstream, proxy(tmp_path, upstream.port) as front:
        assert front.request("POST", target, data=body, headers={"X-Forwarded-For": "6.6.6.6"}).status_code == 200
    head, _, received = upstream.requests[0].partition(b"\r\n\r\n")
    assert received == body
    first, *lines = head.decode().split("\r\n")
    assert first == f"POST {target} HTTP/1.1"
    forwarded = sorted(line.lower() for line in lines if line.startswith("X-Forwarded"))
    assert forwarded[0] == "x-forwarded-for: 127.0.0.1"
    assert forwarded[1].startswith("x-forwarded-host: 127.0.0.1")
    assert forwarded[2:] == ["x-forwarded-proto: https"]


def test_a_body_of_the_products_own_limit_passes_and_a_longer_one_does_not(front: Front) -> None:
    assert post(front, Push({}, b"x" * BODY_LIMIT))[0] == 403
    assert post(front, Push({}, b"x" * (BODY_LIMIT + 1)))[0] in (413, 502)  # the latter is how older Caddys say it


def test_the_web_role_is_asked_only_when_the_whole_body_is_there(program: str, tmp_path: Path) -> None:
    with Server(answering(whole())) as upstream, Nginx(program, tmp_path, upstream.port) as nginx:
        context = ssl.create_default_context(cafile=nginx.certificate)
        with context.wrap_socket(
            socket.create_connection(("127.0.0.1", nginx.port)), server_hostname="127.0.0.1"
        ) as tls:
            tls.sendall(b"POST /callback HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
            assert nginx.request("GET", "/callback").status_code == 200  # nginx works meanwhile
            assert upstream.connections == 1
            tls.sendall(b"67890")
            assert tls.recv(100).startswith(b"HTTP/1.1 200")
    assert upstream.requests[1].endswith(b"\r\n\r\n1234567890")


def test_wecom_has_an_answer_before_it_gives_up(proxy: Callable[..., Front], tmp_path: Path) -> None:
    with Server(silent) as upstream, proxy(tmp_path, upstream.port) as front:
        text = front.file.read_text("utf-8")
        patience = [int(re.findall(rf"\b{name} (\d+)s", text)[0]) for name in front.PATIENCE]
        assert sum(patience) <= DEADLINE
    changes = {f"{front.PATIENCE[1]} {patience[1]}s": f"{front.PATIENCE[1]} 200ms"}
    with Server(silent) as upstream, proxy(tmp_path, upstream.port, changes) as front:
        assert post(front, a_push())[0] == 504
    assert upstream.connections == 1  # a POST is not sent twice


def test_a_web_role_that_is_away_is_no_success_and_is_asked_again_at_once(
    proxy: Callable[..., Front], tmp_path: Path
) -> None:
    with proxy(tmp_path, free_port()) as front:
        assert [post(front, a_push())[0] for _ in range(3)] == [502] * 3  # and no "no live upstreams" for ten seconds
        until(lambda: front.output().lower().count("connection refused") >= 3, what="three lines of its log")
        assert front.output().lower().count("connection refused") == 3


def test_connections_to_the_web_role_are_given_up_before_it_closes_them() -> None:
    for name in ("upstream.conf", "upstream.compose.conf"):
        kept = re.search(r"keepalive_timeout (\d+)s", (DEPLOY / "nginx" / name).read_text("utf-8"))
        assert kept is not None
        assert int(kept[1]) < KEEP_ALIVE


def test_customers_who_come_at_once_are_not_taken_for_an_attack(nginx: Nginx) -> None:
    assert re.search(r"limit_req zone=wecom_welcome_requests burst=8000 nodelay", PUBLIC)
    session = [nginx.request("GET", "/callback").status_code for _ in range(50)]
    assert session == [403] * 50


def test_the_log_has_neither_signature_nor_echo(nginx: Nginx) -> None:
    query = a_verification(b"1616140317555161061")
    nginx.request("GET", "/callback", params=query)
    log = nginx.log.parent / "access.log"
    until(lambda: '"GET /callback" 200' in log.read_text("utf-8"), what="the line")
    assert query["msg_signature"] not in log.read_text("utf-8")


def test_the_console_is_served_to_the_own_network_at_an_address_of_its_own(nginx: Nginx, web: WebProcess) -> None:
    console = f"https://127.0.0.1:{nginx.console_port}"
    page = nginx.request("GET", "/console/login", console)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None
    form = {"csrf_token": token[1], "name": "李敏", "password": "wrong"}
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    headers = {"Origin": console, "Referer": f"{console}/console/login", "Cookie": cookie, "X-Forwarded-For": "6.6.6.6"}
    nginx.request("POST", "/console/login", console, data=form, headers=headers)
    until(lambda: "a sign-in was refused: wrong password, from 127.0.0.1" in web.output(), what="the line")
    assert [nginx.request("GET", path, console).status_code for path in ("/metrics", "/callback", "/")] == [404] * 3


def test_the_console_takes_the_uploads_that_the_product_takes() -> None:
    size = re.search(r"client_max_body_size (\d+)m;", (DEPLOY / "nginx/console.conf").read_text("utf-8"))
    assert size is not None
    assert int(size[1]) << 20 == UPLOAD_LIMIT


# ------------------------------------------------------------------------------------------------ validators

SETS = {
    "a host": ("upstream.conf", "wecom-welcome.conf", "console.conf"),
    "compose": ("upstream.compose.conf", "wecom-welcome.conf"),
}


@pytest.fixture(params=SETS.values(), ids=SETS.keys())
def configuration(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What nginx of the distribution can read of it: it knows no `resolve`, and there is no `web` here."""
    changes = {"server web:8000 resolve": "server 127.0.0.1:8000"} if "upstream.compose.conf" in request.param else {}
    return write_nginx(tmp_path, request.param, changes)


def test_nginx_has_nothing_to_say_about_it(program: str, configuration: Path) -> None:
    run = subprocess.run(
        [program, "-t", "-p", configuration.parent, "-c", configuration], capture_output=True, text=True, check=False
    )
    assert [line.rpartition(" ")[2] for line in run.stderr.splitlines()] == ["ok", "successful"], run.stderr


def test_gixy_finds_no_weakness(require_tool: Callable[[str], str], configuration: Path) -> None:
    run = subprocess.run(
        [require_tool("gixy"), "--format", "json", configuration], capture_output=True, text=True, check=False
    )
    assert (run.returncode, json.loads(run.stdout)) == (0, []), run.stdout


def test_caddy_takes_the_file_as_its_own_formatter_writes_it(
    require_tool: Callable[[str], str], tmp_path: Path
) -> None:
    file, caddy = DEPLOY / "Caddyfile", require_tool("caddy")
    run = partial(subprocess.run, capture_output=True, text=True, check=False, env={"HOME": str(tmp_path)})
    adapted = run([caddy, "adapt", "--validate", "--config", file, "--adapter", "caddyfile"])
    assert (adapted.returncode, '"level":"warn"' in adapted.stderr) == (0, False), adapted.stderr
    assert run([caddy, "fmt", file]).stdout == file.read_text("utf-8")


def test_the_setting_that_both_need_is_named() -> None:
    assert "TRUSTED_PROXIES=1" in PUBLIC
    assert "TRUSTED_PROXIES=1" in (DEPLOY / "Caddyfile").read_text("utf-8")
