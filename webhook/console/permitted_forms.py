"""Forms that somebody may not send: a page shows them without their buttons, or says who may.

It is done once, when a page is compiled, for every `<form method="post">` of every page, so that none can be forgotten:
a form of buttons alone is left out; one with fields is shown, disabled, with the role that it takes. Its route is that
of its `action="{{ url_for('…') }}"`, or the page's own. An admin's pages are as they are written.

The server judges each request for itself (webhook.console.access): this is for the eye.
"""

import re

from jinja2.ext import Extension

FORM = re.compile(
    r'<form\b(?=[^>]*\bmethod="post")(?P<tag>(?:[^>{]|\{\{.*?\}\}|\{%.*?%\})*)>(?P<body>.*?)</form>', re.DOTALL
)
ACTION = re.compile(r"""\baction="\{\{\s*url_for\(\s*['"](?P<endpoint>[\w.]+)['"]""")
_FIELDS = re.compile(r"""<textarea|<select|<input(?![^>]*type="hidden")|parts\.field\(|\{%-?\s*(include|call)""")
_EVERYBODYS = ("access.sign_in", "access.sign_out")


class PermittedForms(Extension):
    """The extension of Jinja that does it."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return FORM.sub(_permitted, source)


def _permitted(found: re.Match[str]) -> str:
    tag, body = found["tag"], found["body"]
    action = ACTION.search(tag)
    if "action=" in tag and action is None:  # an address that came with the request
        return found[0]
    endpoint = _absolute(action["endpoint"]) if action else "request.endpoint"
    if action and action["endpoint"] in _EVERYBODYS:
        return found[0]
    if not _FIELDS.search(body):
        return f"{{% if may({endpoint}) %}}{found[0]}{{% endif %}}"
    said = f'{{% if not may({endpoint}) %}}<p class="hint">{{{{ who_may({endpoint}) }}}}</p>{{% endif %}}'
    before = f'{{% if not may({endpoint}) %}}<fieldset class="not-yours" disabled>{{% endif %}}'
    return f"{said}<form{tag}>{before}{body}{{% if not may({endpoint}) %}}</fieldset>{{% endif %}}</form>"


def _absolute(endpoint: str) -> str:
    """An expression for an endpoint, which may be relative to the page's blueprint: `.tick`."""
    return f'(request.blueprint ~ "{endpoint}")' if endpoint.startswith(".") else f'"{endpoint}"'
