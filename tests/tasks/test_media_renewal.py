"""Media is at WeCom before a customer is greeted, never goes stale there, and costs nobody a greeting."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import media_renewal, upkeep
from tasks.books import draft_media
from tasks.books.draft import Draft
from tasks.books.media_store import AT_MOST, AT_MOST_SOON, LIVED, SOON, Record, back_off
from tasks.media_renewal import ALARM, LIFE, RENEW, MediaRenewer, MediaStatus, due, due_at, media_status
from tasks.messages import translate
from tasks.reasons import Kind, Reason
from tasks.settings import App as Configured
from tasks.storage import keys
from tasks.templates.edits import TEMPLATE, AddRule, Part, SetNamed
from tasks.templates.model import Media
from tasks.templates.render import Upload, stand_in
from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support.books import ATTACHED, FILES, MP4, PDF, a_template
from tests.support.builders import answered, in_words, some_settings
from tests.support.until import until
from tests.support.worker import Worker
from webhook.reason_texts import media_alarms

DAY = 86400.0
SHOWN = {"image": "hello.png", "video": "intro.mp4", "file": "price.pdf"}
URL = Upload("0" * 64, "url")
FILM = Upload("8" * 64, "video")
A_FILE = Media("a.png", "0" * 64, "PNG", 20)


# ------------------------------------------------------------------------------------------------ decided


@given(sha=st.text("0123456789abcdef", min_size=64, max_size=64))
def test_an_id_is_renewed_before_two_and_a_half_days_at_a_point_of_its_own(sha: str) -> None:
    at = due_at(Upload(sha, "video"), Record("id", created_at=0, ends_at=LIFE))
    assert 2.25 * DAY <= at <= RENEW == 2.5 * DAY
    assert LIFE - at >= ALARM


def test_a_permanent_url_is_never_renewed() -> None:
    assert due_at(URL, Record("https://a", created_at=1, ends_at=None)) == float("inf")


TOO_LARGE = answered(40011, "too large")


@pytest.mark.parametrize(
    ("record", "uploads"),
    [
        (Record(), [URL]),
        (Record("https://a"), []),
        (Record(next_try_at=99), [URL]),
        (Record(next_try_at=101), [stand_in(URL)]),  # over the quota, or refused: the id stands in
    ],
)
def test_an_image_whose_url_has_to_wait_gets_an_id_meanwhile(record: Record, uploads: list[Upload]) -> None:
    assert [upload for upload, _ in due({URL: A_FILE}, {URL.key: record}, now=100)] == uploads


def test_in_the_first_minute_tries_are_at_most_five_seconds_apart_and_later_minutes() -> None:
    record, now, waits = Record(), 1000.0, []
    while now < 1000 + 3 * 3600:
        record = record.failed(in_words("40011"), now)
        waits.append((now - 1000, round(record.next_try_at - now, 3)))
        now = record.next_try_at
    assert [wait for at, wait in waits if at < SOON][:4] == [1, 2, 4, AT_MOST_SOON]
    assert all(wait <= AT_MOST_SOON for at, wait in waits if at < SOON)
    assert [wait for _, wait in waits] == sorted(wait for _, wait in waits)
    assert waits[-1][1] == AT_MOST
    assert record.uploaded("id", now, now + LIFE).failures == 0


def test_a_refused_id_is_renewed_at_once_and_one_that_never_works_with_growing_pauses() -> None:
    record = Record("id", created_at=0, ends_at=LIFE).refused(now=DAY)
    assert (record.value, record.next_try_at, record.refusals) == (None, DAY, 1)
    waits, now = [], DAY
    for _ in range(4):
        record = record.uploaded("id", now, now + LIFE).refused(now + 0.1)
        waits.append(record.next_try_at - now - 0.1)
        now = record.next_try_at
    assert waits == pytest.approx([1, 2, 4, 5])
    lived = record.uploaded("id", now, now + LIFE).refused(now + LIVED + 1)
    assert (lived.next_try_at, lived.refusals) == (now + LIVED + 1, 1)


@pytest.mark.parametrize(("elapsed", "seconds"), [(59, 5), (60, 20), (600, 200), (6000, 600)])
def test_back_off_grows_with_what_has_passed(elapsed: float, seconds: float) -> None:
    assert back_off(9, elapsed) == seconds


@pytest.mark.parametrize(
    ("stands", "lines"),
    [
        (MediaStatus(), []),
        (MediaStatus(2, left=2 * DAY), []),
        (MediaStatus(2, left=ALARM - 1), ["media ends in 12.0 h and is not renewed: is `role upkeep` running?"]),
        (MediaStatus(1, absent={"a.mp4": TOO_LARGE}), ["a.mp4 is not at WeCom: 40011 too large"]),
        (
            MediaStatus(1, failing={"a.mp4": TOO_LARGE}, left=13 * 3600),
            ["a.mp4 cannot be renewed, its id ends in 13.0 h at the earliest: 40011 too large"],
        ),
    ],
)
def test_what_somebody_should_look_into_is_said_while_there_is_time(stands: MediaStatus, lines: list[str]) -> None:
    assert [translate(one) for one in media_alarms(stands)] == lines
    assert stands.needs_attention is bool(lines)


# ------------------------------------------------------------------------------------------------ done


@pytest.fixture
def keeping(here: Worker) -> Iterator[Callable[..., MediaRenewer]]:
    """Keepers of an installation, each as if in a process of its own."""
    made: list[MediaRenewer] = []

    def keeper(*further: Configured) -> MediaRenewer:
        services = here.services
        apps = {app.name: app for app in (*services.settings.apps.values(), *further)}
        clients = dict.fromkeys(apps, services.clients["default"])
        made.append(MediaRenewer(services.redis, services.books, apps, clients))
        return made[-1]

    yield keeper
    for one in made:
        until(lambda one=one: not one._under_way, what="the end of the uploads")
        one.stop()


@pytest.fixture
def keeper(keeping: Callable[..., MediaRenewer]) -> MediaRenewer:
    return keeping()


def configured(here: Worker) -> Configured:
    return here.services.settings.apps["default"]


def stands(here: Worker) -> MediaStatus:
    return media_status(here.services.books, configured(here))


def uploads(wecom: StandIn) -> dict[str, int]:
    """Path → calls that came to something."""
    answers = wecom.summary().answers
    return {path: answers[path].get("0", 0) for path in ("media/upload", "media/uploadimg") if path in answers}


def looks_until(keeper: MediaRenewer, condition: Callable[[], Any], timeout: float = 45) -> None:
    def look() -> Any:
        keeper.look()
        return condition()

    until(look, timeout)


def age(here: Worker, seconds: float) -> None:
    """As if all that is recorded had happened so many seconds earlier."""
    ready = here.services.books.ready
    for key in ready.all(configured(here).corp_id):
        sha256, how, *name = key.split(":")

        def older(record: Record) -> Record:
            ends_at = None if record.ends_at is None else record.ends_at - seconds
            next_try_at = record.next_try_at and record.next_try_at - seconds
            return replace(record, created_at=record.created_at - seconds, ends_at=ends_at, next_try_at=next_try_at)

        ready.change(configured(here).corp_id, Upload(sha256, how, *name), older)


def test_what_a_book_shows_is_uploaded_once_images_for_good_and_the_next_customer_gets_all(
    here: Worker, keeper: MediaRenewer
) -> None:
    here.publish(a_template(ATTACHED), upload=False)
    assert len(stands(here).absent) == 3
    looks_until(keeper, lambda: not stands(here).absent)
    for _ in range(3):
        keeper.look()
    assert uploads(here.wecom) == {"media/uploadimg": 1, "media/upload": 2}
    row, seen, _ = here.greeted()
    assert (row["outcome"], seen) == ("sent", ["image", "link", "video", "file"])
    left = stands(here).left
    assert left is not None
    assert LIFE - 5 < left <= LIFE


# ------------------------------------------------------------------------------------------------ drafts


def drafted(here: Worker) -> Draft:
    """A draft with an image, a film and a file."""
    drafts = here.services.drafts
    for path, content in FILES.items():
        drafts.hold("default", path.removeprefix("media/"), content)
    attachments: list[Any] = [{kind: {"file": f"media/{name}"}} for kind, name in SHOWN.items()]
    return drafts.change("default", SetNamed(TEMPLATE, "new", {"text": "hi", "attachments": attachments}), "a")


def ready(here: Worker) -> set[str]:
    records = here.services.books.ready.all(configured(here).corp_id)
    return {key for key, record in records.items() if record.sendable(time.time())}


def test_a_saved_draft_is_at_wecom_before_it_is_published_and_takes_no_quota(
    here: Worker, keeper: MediaRenewer
) -> None:
    drafted(here)
    looks_until(keeper, lambda: len(ready(here)) == 3)
    for _ in range(3):
        keeper.look()
    assert uploads(here.wecom) == {"media/upload": 3}  # no permanent image yet
    here.services.drafts.change("default", AddRule({"use": "new", "name": "all"}, 0), "a")
    draft = here.services.drafts.working("default")
    here.services.drafts.publish("default", draft.version, "a")
    assert here.greeted()[1] == ["image", "video", "file"]  # nobody had time to upload anything
    looks_until(keeper, lambda: uploads(here.wecom) == {"media/upload": 3, "media/uploadimg": 1})


def test_a_draft_that_nobody_saves_or_that_is_discarded_is_not_renewed_for_ever(
    here: Worker, keeper: MediaRenewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafted(here)
    looks_until(keeper, lambda: len(ready(here)) == 3)
    age(here, 2.6 * DAY)
    looks_until(keeper, lambda: uploads(here.wecom) == {"media/upload": 6})
    age(here, 2.6 * DAY)
    monkeypatch.setattr(draft_media, "DRAFT_LIFE", 0.0)
    keeper.look()
    monkeypatch.undo()
    here.services.drafts.discard("default", here.services.drafts.working("default").version)
    keeper.look()
    until(lambda: not keeper._under_way)
    assert uploads(here.wecom) == {"media/upload": 6}
    age(here, DAY)
    keeper.look()
    assert not here.services.books.ready.all(configured(here).corp_id)


def test_a_draft_is_read_again_only_when_it_has_changed(here: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    drafts, reader = here.services.drafts, draft_media.DraftMedia(here.services.redis)
    assert reader.wanted(["default"], time.time()) == {}
    drafted(here)
    assert len(reader.wanted(["default"], time.time())["default"]) == 3
    with monkeypatch.context() as patched:
        patched.setattr(draft_media, "read", lambda *_: pytest.fail("it is the same draft"))
        assert len(reader.wanted(["default"], time.time())["default"]) == 3
    here.services.redis.incr(keys.draft_version("default"))  # counted, and stored in a moment
    assert len(reader.wanted(["default"], time.time())["default"]) == 3
    was = drafts.working("default").content.digest(Part(TEMPLATE, "new"))
    drafts.change("default", SetNamed(TEMPLATE, "new", {"text": "hi"}, was), "a")
    assert reader.wanted(["default"], time.time()) == {"default": {}}


def test_what_is_live_or_there_for_good_is_not_uploaded_for_a_draft() -> None:
    wanted = {URL: A_FILE, FILM: A_FILE}
    assert [one for one, _ in draft_media.missing(wanted, {}, {}, now=1)] == [stand_in(URL), FILM]
    assert [one for one, _ in draft_media.missing(wanted, {}, {URL: A_FILE}, now=1)] == [FILM]
    assert [one for one, _ in draft_media.missing(wanted, {URL.key: Record("https://a")}, {}, now=1)] == [FILM]


# ------------------------------------------------------------------------------------------------ live books


def test_a_large_image_and_a_cover_get_ids(here: Worker, keeper: MediaRenewer) -> None:
    large = b"\x89PNG\r\n\x1a\n" + bytes(3 << 20)
    program = "miniprogram: {title: t, appid: wx1, page: p, cover: b.png}"
    source = a_template(f"text: t\nattachments:\n- image: {{file: a.png}}\n- {program}")
    here.services.books.save("default", source, {"a.png": large, "b.png": FILES["media/cover.png"]})
    looks_until(keeper, lambda: not stands(here).absent)
    assert uploads(here.wecom) == {"media/upload": 2}
    assert here.greeted()[1] == ["image", "miniprogram"]


def test_ids_serve_every_app_of_the_corp(here: Worker, keeping: Callable[..., MediaRenewer]) -> None:
    sales = replace(configured(here), name="sales")
    keeper = keeping(sales)
    for app in ("default", "sales"):
        here.services.books.save(app, a_template(ATTACHED), FILES)
    looks_until(keeper, lambda: not stands(here).absent)
    assert not media_status(here.services.books, sales).absent
    keeper.look()
    assert uploads(here.wecom) == {"media/uploadimg": 1, "media/upload": 2}


def test_of_several_processes_one_uploads_and_another_takes_over_when_it_is_gone(
    here: Worker, keeping: Callable[..., MediaRenewer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_renewal, "LEASE", 1.5)
    first, second = keeping(), keeping()
    assert first.look()
    assert not second.look()
    until(second.look)  # the first says nothing any more
    assert not first.look()
    second.stop()
    assert first.look()  # without a wait


def test_ids_are_renewed_before_they_end_and_urls_are_not(here: Worker, keeper: MediaRenewer) -> None:
    here.publish(a_template(ATTACHED), upload=False)
    looks_until(keeper, lambda: not stands(here).absent)
    age(here, 2.2 * DAY)
    keeper.look()
    assert uploads(here.wecom) == {"media/uploadimg": 1, "media/upload": 2}
    age(here, 0.3 * DAY)
    looks_until(keeper, lambda: (stands(here).left or 0) > 2.9 * DAY)
    assert uploads(here.wecom) == {"media/uploadimg": 1, "media/upload": 4}


def test_a_renewal_that_fails_is_an_alarm_while_the_old_id_is_still_sent(here: Worker, keeper: MediaRenewer) -> None:
    here.publish(a_template(ATTACHED), upload=False)
    looks_until(keeper, lambda: not stands(here).absent)
    here.wecom.faults(busy=1, paths=("media/upload",))
    age(here, 2.5 * DAY)
    looks_until(keeper, lambda: len(stands(here).failing) == 2)
    film, prices = (translate(one) for one in media_alarms(stands(here)))
    assert film.startswith("media/intro.mp4 cannot be renewed, its id ends in 12.0 h at the earliest: -1")
    assert prices.startswith("media/price.pdf cannot be renewed")
    assert here.greeted()[1] == ["image", "link", "video", "file"]
    here.wecom.faults()
    looks_until(keeper, lambda: not stands(here).needs_attention)


def test_over_the_quota_an_image_gets_an_id_and_later_its_url(
    here: Worker, keeper: MediaRenewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_renewal, "PER_DAY", 1)
    source = a_template("text: t\nattachments:\n- image: {file: media/hello.png}\n- image: {file: media/cover.png}")
    here.services.books.save("default", source, FILES)
    looks_until(keeper, lambda: not stands(here).absent)
    assert uploads(here.wecom) == {"media/uploadimg": 1, "media/upload": 1}
    assert here.greeted()[1] == ["image", "image"]
    monkeypatch.setattr(media_renewal, "PER_DAY", 2)  # the next day
    age(here, media_renewal.QUOTA_WAIT)
    looks_until(keeper, lambda: uploads(here.wecom) == {"media/uploadimg": 2, "media/upload": 1})
    until(lambda: stands(here).left is None)
    monkeypatch.setattr(media_renewal, "PER_DAY", 9)
    monkeypatch.setattr(media_renewal, "PER_MONTH", 2)
    here.services.books.save("default", a_template("text: t\nattachments:\n- image: {file: a.png}"), {"a.png": PNG_3})
    looks_until(keeper, lambda: not stands(here).absent)
    assert uploads(here.wecom) == {"media/uploadimg": 2, "media/upload": 2}


PNG_3 = FILES["media/hello.png"] + b", a third"


def test_an_upload_that_hangs_holds_no_other_up(
    here: Worker, keeper: MediaRenewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_renewal, "PATIENCE", 4.0)
    here.wecom.faults(hang=1, paths=("media/upload",))
    here.publish(a_template(ATTACHED), upload=False)
    began = time.monotonic()
    looks_until(keeper, lambda: uploads(here.wecom).get("media/uploadimg") == 1)
    assert time.monotonic() - began < 4.0, "before the other is given up"
    until(lambda: set(stands(here).absent) == {"media/intro.mp4", "media/price.pdf"})
    here.wecom.faults()
    looks_until(keeper, lambda: not stands(here).absent)


def test_what_wecom_does_not_take_is_named_with_its_reason_and_the_rest_is_there(
    here: Worker, keeper: MediaRenewer
) -> None:
    here.wecom.faults(busy=1, paths=("media/upload",))
    here.publish(a_template(ATTACHED), upload=False)
    looks_until(keeper, lambda: stands(here).absent.get("media/intro.mp4") == answered(-1, "system busy"))
    assert here.greeted()[1] == ["image", "link"]


def test_a_dead_id_is_renewed_at_once_for_the_next_customer_and_this_one_gets_the_rest(
    here: Worker, keeper: MediaRenewer
) -> None:
    here.publish(a_template(ATTACHED), upload=False)
    looks_until(keeper, lambda: not stands(here).absent)
    age(here, DAY)
    here.wecom.kill_media()
    row, seen, record = here.greeted()
    assert (row["outcome"], seen) == ("sent", ["image", "link"])
    assert [send.result for send in record.sends] == [40007, 0]
    assert set(stands(here).absent) == {"media/intro.mp4", "media/price.pdf"}
    began = time.monotonic()
    looks_until(keeper, lambda: not stands(here).absent)
    assert time.monotonic() - began < 10
    assert here.greeted()[1] == ["image", "link", "video", "file"]
    assert uploads(here.wecom) == {"media/uploadimg": 1, "media/upload": 4}


def test_with_ids_renewed_since_it_was_made_this_very_greeting_has_everything(
    here: Worker, keeper: MediaRenewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.publish(a_template(ATTACHED), upload=False)
    looks_until(keeper, lambda: not stands(here).absent)
    ready = here.services.books.ready
    stale = dict(ready.all(configured(here).corp_id))
    here.wecom.kill_media()
    here.greeted()
    looks_until(keeper, lambda: not stands(here).absent)
    asked = ready.get

    def once_stale(corp_id: str, wanted: Any) -> dict[Upload, str]:
        monkeypatch.setattr(ready, "get", asked)
        return {upload: str(stale[upload.key].value) for upload in wanted if upload.key in stale}

    monkeypatch.setattr(ready, "get", once_stale)
    row, seen, record = here.greeted()
    assert (row["outcome"], seen) == ("sent", ["image", "link", "video", "file"])
    assert [send.result for send in record.sends] == [40007, 0]
    assert "reason" not in row
    assert not stands(here).absent, "the new ids are not the ones that were refused"


def test_many_who_meet_the_same_dead_id_cost_one_renewal(here: Worker, keeper: MediaRenewer) -> None:
    here.publish(a_template(ATTACHED), upload=False)
    looks_until(keeper, lambda: not stands(here).absent)
    corp_id, ready = configured(here).corp_id, here.services.books.ready
    sent = ready.get(corp_id, [Upload(key.split(":")[0], *key.split(":")[1:]) for key in ready.all(corp_id)])
    for _ in range(5):
        ready.refuse(corp_id, sent)
    assert {record.refusals for key, record in ready.all(corp_id).items() if ":url" not in key} == {1}
    looks_until(keeper, lambda: not stands(here).absent)
    for _ in range(5):
        ready.refuse(corp_id, sent)  # those who were slow
    assert not stands(here).absent


def test_what_nobody_wants_and_nobody_could_send_is_forgotten_and_urls_stay(here: Worker, keeper: MediaRenewer) -> None:
    here.publish(a_template(ATTACHED), upload=False)
    looks_until(keeper, lambda: not stands(here).absent)
    here.publish(a_template("text: t"))
    keeper.look()
    assert len(here.services.books.ready.all(configured(here).corp_id)) == 3  # a rollback finds them
    age(here, LIFE)
    keeper.look()
    (key,) = here.services.books.ready.all(configured(here).corp_id)
    assert key.endswith(":url")


def test_a_file_that_is_not_kept_any_more_is_said_so(here: Worker, keeper: MediaRenewer) -> None:
    here.publish(a_template("text: t\nattachments:\n- video: {file: media/intro.mp4}"), upload=False)
    (sha256,) = here.services.books.media.sizes()
    here.services.redis.delete(keys.media(sha256))
    looks_until(keeper, lambda: stands(here).absent["media/intro.mp4"].kind is Kind.FILE_NOT_KEPT)


def test_the_chinese_name_of_a_file_is_what_customers_see(here: Worker, keeper: MediaRenewer) -> None:
    source = a_template("text: t\nattachments:\n- file: {file: 价目表.pdf}")
    here.services.books.save("default", source, {"价目表.pdf": PDF})
    looks_until(keeper, lambda: not stands(here).absent)
    (record,) = here.services.books.ready.all(configured(here).corp_id).values()
    file = here.services.clients["default"].media.get(str(record.value))
    assert (file.filename, file.content) == ("价目表.pdf", PDF)


def test_only_the_first_media_is_waited_for_and_ten_seconds_at_most(here: Worker) -> None:
    assert not stands(here).starting
    here.publish(a_template(ATTACHED), upload=False)
    assert stands(here).starting
    here.services.redis.decrby(keys.first_media("default"), 10_000)
    here.publish(a_template("text: t\nattachments:\n- video: {file: media/intro.mp4}"), upload=False)
    assert not stands(here).starting
    assert stands(here).absent == {"media/intro.mp4": Reason.of(Kind.ON_ITS_WAY)}


def test_a_second_corp_has_ids_of_its_own(here: Worker, wecom: StandIn) -> None:
    """What one corp uploaded is nothing to another."""
    here.publish(a_template(f"text: t\nattachments:\n- video: {{file: media/intro.mp4}} # {len(MP4)} bytes"))
    other = some_settings(**wecom.register(App.random("other")).environment(wecom.base_url)).apps["default"]
    assert not stands(here).absent
    assert media_status(here.services.books, other).absent


def test_an_id_of_the_authors_that_is_dead_does_not_have_ours_renewed_with_every_customer(
    here: Worker, keeper: MediaRenewer
) -> None:
    source = "text: t\nattachments:\n- video: {media_id: gone}\n- file: {file: media/price.pdf}"
    here.publish(a_template(source), upload=False)
    looks_until(keeper, lambda: not stands(here).absent)
    for _ in range(8):
        row, seen, _ = here.greeted()
        assert (row["outcome"], seen) == ("sent", [])
        keeper.look()
        until(lambda: not keeper._under_way)
    assert uploads(here.wecom)["media/upload"] <= 3


def test_the_schedule_says_loudly_what_cannot_be_renewed(here: Worker, caplog: pytest.LogCaptureFixture) -> None:
    here.publish(a_template("text: t\nattachments:\n- video: {file: media/intro.mp4}"))
    upkeep.watch_media(here.services)
    assert not caplog.records
    age(here, 2.6 * DAY)
    with caplog.at_level(logging.ERROR):
        upkeep.watch_media(here.services)
    (record,) = caplog.records
    assert record.message == "app default: media ends in 9.6 h and is not renewed"
