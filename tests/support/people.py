"""Names of people who do not exist, by number: the same number has the same name."""

FAMILIES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
GIVEN = (
    *"芳娜静强磊洋艳杰涛明敏丽超霞平辉",
    *("秀英", "建华", "小红", "志强", "文静", "雨桐", "子涵", "浩然", "欣怡", "梓萱", "佳琪", "思远"),
    *("俊杰", "晓燕", "海燕", "春梅", "国庆", "美玲", "嘉怡", "一诺", "若曦", "天宇", "宇航", "慧敏"),
)


def full_name(number: int) -> str:
    """One of 800 names; those of neighbouring numbers share neither part."""
    return FAMILIES[number * 7 % len(FAMILIES)] + GIVEN[(number * 11 + number // len(FAMILIES)) % len(GIVEN)]
