"""青禾家居, a small company that sells furniture: who works there, and how customers come to them. Values alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.people.roles import Kind, Role
from tasks.templates.conditions import Directory

APP = "default"
FOLDER = Path(__file__).parent
BOOK = FOLDER / "book.yaml"

DEPARTMENTS: Mapping[int, Mapping[str, Any]] = {  # id → as department/list has it
    1: {"name": "青禾家居", "parentid": 0},
    2: {"name": "门店部", "parentid": 1},
    3: {"name": "徐家汇店", "parentid": 2},
    4: {"name": "静安店", "parentid": 2},
    5: {"name": "客服部", "parentid": 1},
    6: {"name": "设计部", "parentid": 1},
}
MEMBERS: Mapping[str, Mapping[str, Any]] = {
    "zhangwei": {"name": "张伟", "department": [3], "position": "店长"},
    "lina": {"name": "李娜", "department": [3], "position": "导购"},
    "wangqiang": {"name": "王强", "department": [4], "position": "店长"},
    "liuyang": {"name": "刘洋", "department": [4], "position": "导购"},
    "chenjing": {"name": "陈静", "department": [5], "position": "客服主管"},
    "zhaolei": {"name": "赵磊", "department": [5], "position": "客服"},
    "zhoujie": {"name": "周杰", "department": [5], "position": "客服", "licensed": False},
    "sunli": {"name": "孙丽", "department": [6], "position": "设计师"},
}
SUCCESSOR = "liuyang"  # was to take over the customers of a colleague who has left; one of them refused
UNLICENSED, UNLICENSED_FROM = "zhoujie", 13  # o'clock today: his licence has ended
OPERATORS = ("陈静", "张伟")  # who use the console most
ADMIN = "zhangwei"  # of the console; the others' roles there:
ROLES = (
    (Kind.MEMBER, "chenjing", Role.PUBLISHER),
    (Kind.DEPARTMENT, "6", Role.EDITOR),
    (Kind.DEPARTMENT, "2", Role.VIEWER),
)
DIRECTORY = Directory(
    {member: frozenset(fields["department"]) for member, fields in MEMBERS.items()},
    {number: fields["parentid"] for number, fields in DEPARTMENTS.items()},
)

# customers an hour, from 0 to 23 o'clock; only their proportion matters
ONLINE = (5, 2, 1, 1, 0, 0, 1, 3, 5, 6, 7, 8, 14, 12, 8, 7, 7, 8, 10, 15, 24, 26, 18, 9)
SHOP = (0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 7, 9, 8, 8, 10, 12, 12, 11, 10, 11, 9, 3, 0, 0)
OFFICE = (2, 1, 1, 0, 0, 0, 1, 3, 7, 11, 12, 10, 6, 8, 11, 11, 10, 9, 5, 5, 5, 4, 4, 3)


@dataclass(frozen=True, slots=True)
class Way:
    """How customers come: with which State, to whom, what part of them, and when."""

    state: str
    members: tuple[str, ...]
    share: int
    hours: tuple[int, ...] = field(repr=False)


WAYS = (
    Way("douyin-live", ("chenjing", "zhaolei"), 30, ONLINE),
    Way("xhs-note", ("sunli", "chenjing"), 20, ONLINE),
    Way("store-card", ("zhangwei", "lina", "wangqiang", "liuyang"), 22, SHOP),
    Way("", ("zhangwei", "lina", "wangqiang", "liuyang"), 12, SHOP),
    Way("", ("chenjing", "zhaolei", "zhoujie"), 11, OFFICE),
    Way("refer-2026", ("sunli",), 5, OFFICE),
)
CHANNELS: Mapping[str, tuple[str, tuple[str, ...], tuple[int, ...]]] = {  # name → State, members, departments
    "抖音直播间": ("douyin-live", ("chenjing", "zhaolei"), ()),
    "小红书笔记": ("xhs-note", ("sunli", "chenjing"), ()),
    "门店台卡": ("store-card", (), (2,)),
}

LABELS: Mapping[str, tuple[str, ...]] = {  # of welcomes
    "线上": ("抖音新人礼", "抖音一对一", "小红书笔记"),
    "门店": ("门店到访",),
    "售后": ("客服", "客服夜间"),
}


@dataclass(frozen=True, slots=True)
class Edit:
    """A revision of the book: how many days ago, by whom, why; and how it differs from the book of today."""

    days_ago: int
    author: str
    note: str
    differs: tuple[tuple[str, str], ...] = ()  # (of today, then)


REVISIONS = (
    Edit(
        31,
        "",
        "",
        (
            ("use: {抖音新人礼: 50, 抖音一对一: 50}}", "use: 抖音新人礼}"),
            ("      - video: {file: media/store.mp4}\n", ""),
        ),
    ),
    Edit(
        17,
        "陈静",
        "抖音试两种开场，各一半",
        (("      - video: {file: media/store.mp4}\n", ""),),
    ),
    Edit(6, "张伟", "门店欢迎语加探店视频"),
)
