"""Everything that a book can have wrong is said when it is read: where, what, and what to do."""

from typing import Any

import pytest

from tasks.templates.book import BookError, Look, problems_of, read, remarks
from tasks.templates.model import (
    Dates,
    File,
    FollowUp,
    GroupWelcome,
    Hours,
    Image,
    Link,
    Media,
    MediaID,
    MiniProgram,
    PicURL,
    Tag,
    Variant,
    Video,
    When,
)
from tests.support.books import FILES, JPG, MP4, PDF, PNG, WEBP, a_book, a_rule, a_template, looking_at, the_example

pytestmark = pytest.mark.usefixtures("yaml_parser")

LINK = "{title: t, url: 'https://example.com'}"


def problems(source: str, look: Look | None = None) -> list[str]:
    with pytest.raises(BookError) as error:
        read(source, look or looking_at(FILES))
    return [str(problem) for problem in error.value.problems]


def a_problem(body: str, look: Look | None = None) -> str:
    """The one problem of a template with these lines."""
    (problem,) = problems(a_template(body), look)
    return problem


# ------------------------------------------------------------------------------------------------ read


def test_the_example_is_read_whole() -> None:
    book = a_book(the_example())
    brochure = book.templates["brochure"]
    assert [type(one) for one in brochure.attachments] == [Image, Link, MiniProgram, Video, File]
    program = brochure.attachments[2]
    assert isinstance(program, MiniProgram)
    assert (program.title, program.appid, program.page) == ("预约", "wx8bd80126147df384", "pages/index.html")
    assert set(book.media()) == set(FILES)
    assert brochure.then == FollowUp((Tag("来源", "新客户"),), "{customer}")
    rules = {rule.label(number): rule for number, rule in enumerate(book.rules, 1)}
    assert list(rules) == ["night", "holiday", "douyin", "from-a-link", "east", "two-members", "7"]
    night = rules["night"].when
    assert [str(one) for one in night.hours] == ["21:00-08:30"]
    assert night.weekdays == (0, 1, 2, 3, 4)
    assert [str(one) for one in rules["holiday"].when.dates] == ["2026-10-01..2026-10-07"]
    assert rules["douyin"].variants == (Variant("brochure", 70), Variant("default", 30))
    assert rules["east"].when == When(department=(3,))
    assert rules["7"].when.always
    link = Link("群规", "https://example.com/rules")
    assert book.group_welcomes == {"newcomers": GroupWelcome("newcomers", "欢迎 %NICKNAME% 入群", link)}


def test_media_are_given_as_a_file_a_url_or_an_id() -> None:
    book = a_book(
        a_template(
            "text: t\nattachments:\n"
            "- image: {file: media/hello.png}\n- image: {pic_url: 'https://wework.qpic.cn/a'}\n"
            "- image: {media_id: 3a}\n"
            "- video: {media_id: 3b}\n- file: {media_id: 3c}\n"
            "- miniprogram: {title: t, appid: wx1, page: p, cover: {media_id: 3d}}"
        )
    )
    image, url, *ids, program = book.templates["default"].attachments
    assert isinstance(image, Image)
    assert isinstance(image.source, Media)
    assert (image.source.kind, image.source.size, image.source.name) == ("PNG", len(PNG), "hello.png")
    assert url == Image(PicURL("https://wework.qpic.cn/a"))
    assert ids == [Image(MediaID("3a")), Video(MediaID("3b")), File(MediaID("3c"))]
    assert program == MiniProgram("t", "wx1", "p", MediaID("3d"))


def test_single_values_and_lists_are_the_same() -> None:
    assert read(a_rule("{member: a, weekdays: sun}")) == read(a_rule("{member: [a], weekdays: [sun]}"))


def test_scalars_mean_what_they_look_like() -> None:
    when = read(a_rule("{state: 001, member: [yes, 12:30], hours: 09:00-9:30, dates: 2026-10-01}")).rules[0].when
    assert (when.state, when.member) == (("001",), ("yes", "12:30"))
    assert [str(one) for one in (*when.hours, *when.dates)] == ["09:00-09:30", "2026-10-01"]
    assert isinstance(when.hours[0], Hours)
    assert isinstance(when.dates[0], Dates)


def test_a_tag_without_a_group_is_in_our_own() -> None:
    then = read(a_template("text: t\nthen: {tags: [a, b/c, b/c/d]}")).templates["default"].then
    assert then.tags == (Tag("欢迎语", "a"), Tag("b", "c"), Tag("b", "c/d"))


# ------------------------------------------------------------------------------------------------ at the limit


@pytest.mark.parametrize(
    ("body", "most", "says"),
    [
        (
            "text: t\nattachments: [link: {title: '%s', url: 'https://a.cn'}]",
            128,
            "the title has 129 bytes, 1 more than the 128 that WeCom takes",
        ),
        (
            "text: t\nattachments: [link: {title: t, url: 'https://a.cn', desc: '%s'}]",
            512,
            "the description has 513 bytes, 1 more than the 512 that WeCom takes",
        ),
        (
            "text: t\nattachments: [link: {title: t, url: 'https://a.cn/%s'}]",
            2048 - 13,
            "the address has 2049 bytes, 1 more than the 2048 ",
        ),
        (
            "text: t\nattachments: [link: {title: t, url: 'https://a.cn', picurl: 'https://a.cn/%s'}]",
            2048 - 13,
            "the cover's address has 2049 bytes, 1 more than the 2048 that WeCom takes",
        ),
        (
            "text: t\nattachments: [miniprogram: {title: '%s', appid: wx1, page: p, cover: media/cover.png}]",
            64,
            "the title has 65 bytes, 1 more than the 64 that WeCom takes",
        ),
        (
            "text: t\nthen: {tags: ['来源/%s']}",
            30,
            f"the tag “{'x' * 31}” has 31 characters, 1 more than the 30 that fit",
        ),
        ("text: t\nthen: {tags: ['%s/a']}", 30, f"the tag's group “{'x' * 31}” has 31 characters"),
        ("text: t\nthen: {remark: '{customer}%s'}", 20, "the remark has 21 characters, 1 more than the 20 "),
        ("text: '%s{department}{corp}'", 4000 - 128, "the text has up to 4001 bytes"),
    ],
)
def test_what_is_at_the_limit_is_taken_and_one_more_is_not(body: str, most: int, says: str) -> None:
    read(a_template(body % ("x" * most)), looking_at(FILES))
    problem = a_problem(body % ("x" * (most + 1)))
    assert says in problem
    assert ", 1 more than the " in problem


def test_bytes_are_of_utf_8_and_the_cure_is_said() -> None:
    assert a_problem("text: t\nattachments:\n- link: {title: " + "好" * 43 + ", url: 'https://a.cn'}") == (
        "line 6, column 21: the title has 129 bytes, 1 more than the 128 that WeCom takes;"
        " shorten it by about 1 Chinese characters (3 bytes each)"
    )


def test_nine_attachments_are_taken_and_ten_are_not() -> None:
    nine = "text: t\nattachments:\n" + f"- link: {LINK}\n" * 9
    read(a_template(nine))
    assert a_problem(f"{nine}- link: {LINK}") == "line 15, column 7: default has 10 attachments; WeCom takes 9".replace(
        "default has", "template default has"
    )


def a_group(body: str) -> str:
    return a_template("text: t") + f"group_welcome:\n  new: {body}\n"


def test_a_groups_text_has_3000_bytes_at_most() -> None:
    read(a_group(f"{{text: '{'x' * 3000}'}}"))
    (problem,) = problems(a_group(f"{{text: '{'x' * 3001}'}}"))
    assert problem.startswith("line 8, column 15: the text has 3001 bytes, 1 more than the 3000")


def test_a_hundred_group_welcomes_are_taken_and_one_more_is_not() -> None:
    source = a_template("text: t") + "group_welcome:\n" + "".join(f"  g{n}: {{text: t}}\n" for n in range(100))
    read(source)
    (problem,) = problems(source + "  last: {text: t}\n")
    assert problem == "line 8, column 3: 101 group welcomes; WeCom takes 100 of a corp"


# ------------------------------------------------------------------------------------------------ media


@pytest.mark.parametrize(
    ("use", "content", "says"),
    [
        ("image", WEBP, "a.bin: this is a WebP image; WeCom takes only JPG and PNG here"),
        ("image", MP4, "a.bin: this is an MP4 video; WeCom takes only JPG and PNG here"),
        ("image", b"GIF89a...", "a.bin: this is a GIF image; WeCom takes only JPG and PNG here"),
        ("image", b"just a text", "a.bin: this is a file of another kind; WeCom takes only JPG and PNG here"),
        ("image", PNG + bytes(10 << 20), "a.bin has 10.0 MB; WeCom takes only 10 MB here: save it as JPG, or smaller"),
        ("image", PNG[:5], "a.bin has 5 bytes; WeCom takes files of more than 5"),
        ("video", PNG, "a.bin: this is a PNG image; WeCom takes only MP4 here"),
        ("video", b"\0\0\0\x14ftypqt  film", "a.bin: this is a QuickTime video (MOV); WeCom takes only MP4 here"),
        (
            "video",
            MP4 + bytes(10 << 20),
            "a.bin has 10.0 MB; WeCom takes only 10 MB here: cut it, or lower its quality",
        ),
        ("file", PDF + bytes(20 << 20), "a.bin has 20.0 MB; WeCom takes only 20 MB here: shorten it, or link to it"),
        ("file", b"", "a.bin has 0 bytes; WeCom takes files of more than 5"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else None,
)
def test_media_are_judged_by_their_bytes(use: str, content: bytes, says: str) -> None:
    body = f"text: t\nattachments:\n- {use}: {{file: a.bin}}"
    assert a_problem(body, looking_at({"a.bin": content})).endswith(f": {says}")


@pytest.mark.parametrize(
    ("use", "content"), [("image", JPG), ("image", PNG), ("video", MP4), ("file", PDF), ("file", WEBP), ("file", PNG)]
)
def test_what_wecom_takes_is_taken_under_any_name(use: str, content: bytes) -> None:
    read(a_template(f"text: t\nattachments: [{use}: {{file: a.webp}}]"), looking_at({"a.webp": content}))


def test_a_cover_is_an_image_too() -> None:
    body = "text: t\nattachments: [miniprogram: {title: t, appid: wx1, page: p, cover: a.mp4}]"
    assert a_problem(body, looking_at({"a.mp4": MP4})).endswith(
        "a.mp4: this is an MP4 video; WeCom takes only JPG and PNG here"
    )


@pytest.mark.parametrize("path", ["../a.png", "media/../../a.png", "/etc/passwd", "~/a.png", "C:/a.png"])
def test_a_path_out_of_the_books_folder_is_refused_unread(path: str) -> None:
    def look(path: str) -> Media:
        raise AssertionError(f"{path} was looked at")

    problem = a_problem(f"text: t\nattachments: [image: {{file: '{path}'}}]", look)
    assert problem.endswith(f"{path} leads out of the book's folder; put the file beside the book")


@pytest.mark.parametrize("path", ["media//a.png", "./a.png", "media/", '"a\\tb"'])
def test_a_path_that_is_not_plain_is_refused(path: str) -> None:
    assert "is not a plain path" in a_problem(f"text: t\nattachments: [image: {{file: {path}}}]")


def test_a_file_that_is_not_there_is_named_with_its_place() -> None:
    assert a_problem("text: t\nattachments:\n- image: {file: media/gone.png}") == (
        "line 6, column 21: no file media/gone.png"
    )


# ------------------------------------------------------------------------------------------------ what else is wrong


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("text: t\nattachment: []", "there are text, attachments, then; did you mean attachments?"),
        ("text: t\nattachments:\n- picture: {file: a}", "an attachment has no `picture`; there are image, link,"),
        ("text: t\nattachments: {image: {file: a}}", "the attachments of template default are a list"),
        ("text: t\nattachments:\n- {}", "an attachment is one of image, link, miniprogram, video, file"),
        (f"text: t\nattachments:\n- {{link: {LINK}, image: {{media_id: a}}}}", "begin each with a dash"),
        ("text: t\nattachments: [image: {}]", "image needs one of file, pic_url, media_id"),
        ("text: t\nattachments: [image: {pic_url: 'https://a.cn', media_id: a}]", "image needs one of file, pic_url"),
        (
            "text: t\nattachments: [video: {pic_url: 'https://a.cn'}]",
            "a video has no `pic_url`; there are file, media_id",
        ),
        ("text: t\nattachments: [link: {url: 'https://a.cn'}]", "the title is missing"),
        ("text: t\nattachments: [link: {title: t}]", "the address is missing"),
        ("text: t\nattachments: [link: {title: '', url: 'https://a.cn'}]", "the title is empty"),
        (
            "text: t\nattachments: [link: {title: t, url: example.com}]",
            "an address begins with https:// and has no space, such as",
        ),
        (
            "text: t\nattachments: [link: {title: t, url: 'https://a b'}]",
            "an address begins with https:// and has no space, such as",
        ),
        (
            "text: t\nattachments: [link: {title: '{customer}', url: 'https://a.cn'}]",
            "{customer} would be sent just as it stands: placeholders work in texts and remarks only",
        ),
        (
            "text: t\nattachments: [link: {title: t, url: 'https://a.cn/?s={state|x}'}]",
            "{state|x} would be sent just as it stands",
        ),
        ("text: t\nattachments: [miniprogram: {title: t, appid: wx1, page: p}]", "the cover is missing"),
        (
            "text: t\nattachments: [miniprogram: {title: t, appid: '小程序', page: p, cover: media/cover.png}]",
            "an AppID looks like wx8bd80126147df384",
        ),
        ("text: '{alias}'", "without a name the text would be empty; add a word, or a fallback to the placeholder"),
        ("text: '{alias| }'", "without a name the text would be empty; add a word, or a fallback to the placeholder"),
        (r'text: "\ud800"', "a control character or half a character; WeCom takes neither"),
        (r'text: "\a"', "a control character or half a character; WeCom takes neither"),
        ("text: t\nthen: {tags: [a/]}", "a tag is written group/tag, or tag alone; this is “a/”"),
        ("text: t\nthen: {tags: [a, 欢迎语/a]}", "tag 欢迎语/a is given twice"),
        ("text: t\nthen: {remark: '{nobody}'}", "no placeholder {nobody}"),
        ("text: t\nthen: {remark: ''}", "the remark is empty; leave `remark` out"),
        ("text: t\nthen: [a]", "`then` of template default must be a mapping"),
    ],
)
def test_a_template_that_cannot_be_sent_is_refused(body: str, says: str) -> None:
    assert says in a_problem(body)


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("{}", "`when` has no condition; leave it out for a rule that always holds"),
        ("{sate: a}", "there are member, department, state, hours, weekdays"),
        ("{sate: a}", "did you mean state?"),
        ("{member: []}", "`member` is empty; leave it out for any"),
        ("{member: ['']}", "a member's userid, such as zhangsan"),
        ("{department: sales}", "a department's id is a whole number from 1; this is sales"),
        ("{department: 0}", "a department's id is a whole number from 1; this is 0"),
        ("{hours: 21-8}", "hours look like 21:00-08:30; this is 21-8"),
        ("{hours: '21:60-22:00'}", "hours go from 00:00 to 24:00; this is 21:60-22:00"),
        ("{hours: '24:00-08:00'}", "hours go from 00:00 to 24:00"),
        ("{hours: '08:00-08:00'}", "begins when it ends; for the whole day leave hours out"),
        ("{weekdays: [monday]}", "no weekday monday; there are mon, tue, wed, thu, fri, sat, sun; did you mean mon?"),
        ("{dates: 2026-02-30}", "dates look like 2026-10-01 or 2026-10-01..2026-10-07; this is 2026-02-30"),
        ("{dates: 2026-10-07..2026-10-01}", "2026-10-07..2026-10-01 ends before it begins"),
        ("{customer_type: weechat}", "no customer type weechat; there are wechat, wecom; did you mean wechat?"),
        ("{add_way: qr}", "an add way is a whole number from 0; this is qr"),
        ("{change: added}", "no change added; there are add, half_add, audit_approved; did you mean add?"),
        ("{hours: [[a]]}", "must be a single value"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused(when: str, says: str) -> None:
    (problem,) = problems(a_rule(when))
    assert problem.startswith("line 5, column ")
    assert says in problem


@pytest.mark.parametrize(
    ("use", "says"),
    [
        ("on", "no template is called on; there are default, one, two; did you mean one?"),
        ("{one: 1, three: 2}", "no template is called three; there are default, one, two"),
        ("{one: 0, two: 0}", "no template has a weight above 0"),
        ("{one: 0.5}", "a weight is a whole number from 0; this is 0.5"),
        ("{one: -1}", "a weight is a whole number from 0; this is -1"),
        ("[one]", "`use` must be a mapping"),
    ],
)
def test_a_rule_that_uses_nothing_that_there_is_is_refused(use: str, says: str) -> None:
    (problem,) = problems(a_rule("{state: a}", use))
    assert says in problem


def test_a_rule_with_weights_needs_a_name() -> None:
    (problem,) = problems(a_rule("{state: a}", "{one: 1, two: 1}").replace("name: first\n    ", ""))
    assert problem == "line 4, column 5: a rule with weights needs a name: its results are counted under it"


def test_two_rules_of_one_name_are_refused() -> None:
    (problem,) = problems(a_rule("{state: a}") + "  - {name: first, use: one}\n")
    assert problem == "line 8, column 12: two rules are called first"


@pytest.mark.parametrize(
    ("name", "says"), [("''", "not empty"), ("a|b", "a |"), ('"a\\nb"', "control"), ("x" * 65, "65")]
)
def test_names_can_stand_in_records_and_metrics(name: str, says: str) -> None:
    (problem,) = problems(a_rule("{state: a}").replace("name: first", f"name: {name}"))
    assert says in problem


def test_a_book_that_leaves_somebody_without_a_greeting_is_refused() -> None:
    source = a_rule("{state: a}").replace("  - use: default\n", "").replace("default: {text: d}", "other: {text: d}")
    (problem,) = problems(source)
    assert "some customers would get nothing: end the rules with one without `when`" in problem


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{}", "this group welcome is empty; write a text, or add an attachment"),
        ("{text: ''}", "group welcome new has an empty text"),
        ("{txt: a, text: b}", "group welcome new has no `txt`; there are text, image"),
        (f"{{text: a, link: {LINK}, image: {{media_id: b}}}}", "has link, image; WeCom takes one beside the text"),
        (
            "{text: '您好{customer}'}",
            "{customer} would be sent just as it stands: in groups only %NICKNAME% is replaced",
        ),
    ],
)
def test_a_group_welcome_that_wecom_would_not_take_is_refused(body: str, says: str) -> None:
    (problem,) = problems(a_group(body))
    assert says in problem


def test_everything_is_said_at_once_from_top_to_bottom() -> None:
    found = problems(
        a_template("text: '{nobody}'\nattachments: [link: {}]\nthen: {tags: [a/]}").replace("use: default", "use: a")
        + "group_welcome: {new: {}}\n"
    )
    assert [problem.split(":")[0] for problem in found] == [
        "line 4, column 11",
        "line 5, column 25",
        "line 5, column 25",
        "line 6, column 19",
        "line 8, column 10",
        "line 9, column 22",
    ]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("text: '{nobody}'", ["text"]),
        ("then: {}", ["text"]),
        ("text: t\ntxt: t", ["txt"]),
        ("text: t\nattachments:\n- link:\n    url: https://a.cn", ["attachments", 0, "link", "title"]),
        (f"text: t\nattachments:\n- link: {LINK}\n- image: {{}}", ["attachments", 1, "image", "file"]),
        ("text: t\nattachments:\n- image: {file: media/gone.png}", ["attachments", 0, "image", "file"]),
        ("text: t\nattachments:\n- link: {title: t, url: a}", ["attachments", 0, "link", "url"]),
        ("text: t\nattachments:\n- {}", ["attachments", 0]),
        (
            "text: t\nattachments:\n- miniprogram: {title: t, appid: a, page: p, cover: {media_id: ''}}",
            ["attachments", 0, "miniprogram", "cover", "media_id"],
        ),
        ("text: t\nthen:\n  tags:\n  - a\n  - b/", ["then", "tags", 1]),
        ("text: t\nthen: {remark: ''}", ["then", "remark"]),
    ],
)
def test_a_problem_has_the_path_of_its_value(body: str, path: list[str | int]) -> None:
    with pytest.raises(BookError) as error:
        read(a_template(body), looking_at(FILES))
    assert [problem.path for problem in error.value.problems] == [("templates", "default", *path)]


@pytest.mark.parametrize(
    ("source", "path"),
    [
        (a_template("text: t").replace("version: 1\n", ""), ()),
        (a_template("text: t").replace("use: default", "use: none"), ("rules", 0, "use")),
        (a_template("text: t").replace("- use: default", "- when: {state: a}"), ("rules", 0)),
        (a_rule("{weekdays: [mon, monday]}"), ("rules", 0, "when", "weekdays", 1)),
        (a_rule("{state: a}", "{one: 1, three: 2}"), ("rules", 0, "use", "three")),
        (a_group("{text: ''}"), ("group_welcome", "new", "text")),
        (a_group("{}"), ("group_welcome", "new", "text")),
        (a_group("{link: {title: t}}"), ("group_welcome", "new", "link", "url")),
        (a_template("text: t").replace("default:", "a|b:").replace("use: default", "use: a|b"), ("templates", "a|b")),
    ],
)
def test_a_problem_has_the_path_of_its_value_anywhere_in_the_book(source: str, path: tuple[str | int, ...]) -> None:
    with pytest.raises(BookError) as error:
        read(source, looking_at(FILES))
    assert [problem.path for problem in error.value.problems] == [path]


@pytest.mark.parametrize(
    ("section", "value", "wrong"),
    [
        ("templates", {"text": "您好{customer}", "attachments": [{"image": {"file": "media/hello.png"}}]}, []),
        ("templates", {"text": " "}, [(("text",), "the text is empty; write one")]),
        (
            "templates",
            {"text": "t", "attachments": [{"link": {"title": "t"}}, {"file": {"file": ""}}]},
            [
                (("attachments", 0, "link", "url"), "the address is missing"),
                (("attachments", 1, "file", "file"), "choose a file"),
            ],
        ),
        ("group_welcome", {"text": "t"}, []),
        ("group_welcome", {}, [(("text",), "this group welcome is empty; write a text, or add an attachment")]),
    ],
)
def test_one_welcome_is_judged_by_its_value(section: str, value: Any, wrong: list[Any]) -> None:
    found = problems_of(section, "new", value, looking_at(FILES))
    assert [(problem.path, str(problem.what)) for problem in found] == [
        ((section, "new", *path), what) for path, what in wrong
    ]


# ------------------------------------------------------------------------------------------------ remarks


def test_what_is_probably_not_meant_is_remarked() -> None:
    source = a_rule("{member: [zhangsan, lisi]}") + "  - {name: late, use: default}\n"
    assert list(remarks(read(source), frozenset({"ZhangSan"}))) == [
        "line 4: rule first names lisi, who is no member with 客户联系 in the app's visible range",
        "line 8: rule late is never reached: rule 2 before it has no conditions",
        "template two is used by no rule",
    ]


def test_members_who_are_not_known_are_not_remarked() -> None:
    assert not [one for one in remarks(read(a_rule("{member: lisi}"))) if "lisi" in one]


def test_a_media_id_by_hand_is_remarked() -> None:
    source = a_template("text: t\nattachments: [image: {media_id: a}]")
    assert list(remarks(read(source))) == ["a media_id lives three days; with `file:` it is renewed for you"]
