"""The operators' console: a Flask application of its own, mounted at /console beside the callback.

    access      who may come in: sign-in, sessions, CSRF, limits, headers          (every request passes it first)
    language    Chinese first, English second; the .po files under translations/
    frame       what every page shares: the app it is about, navigation, the state of the system
    failures    what a page says when something fails, and how typed text is kept
    the rest    one file a subject, with its pages under pages/<subject>/

Its own application, so that the callback keeps its small body limit and knows nothing of cookies.
"""

from flask import Flask

from tasks.assembly import Parts
from webhook.console import access, failures, frame, language
from webhook.console.channels import channels
from webhook.console.deliveries import deliveries
from webhook.console.missed import missed
from webhook.console.numbers import numbers
from webhook.console.queue import queue
from webhook.console.setup import setup
from webhook.console.today import today
from webhook.console.welcomes.editor import editor
from webhook.console.welcomes.groups import groups
from webhook.console.welcomes.media import media
from webhook.console.welcomes.overview import welcomes

FORM_LIMIT = 1 << 20  # bytes of one request, unless a view that takes files says otherwise
A_YEAR = 365 * 86400
SUBJECTS = (today, welcomes, editor, media, groups, deliveries, missed, queue, numbers, channels)


def console(parts: Parts) -> Flask:
    """The console on these parts. Needs `settings.console_password`."""
    app = Flask(__name__, template_folder="pages")
    app.config.update(MAX_CONTENT_LENGTH=FORM_LIMIT, MAX_FORM_MEMORY_SIZE=FORM_LIMIT, SEND_FILE_MAX_AGE_DEFAULT=A_YEAR)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    language.speak(app)
    frame.frame(app, parts)
    limiter = access.guard(app, parts)
    failures.explain(app)
    for subject in SUBJECTS:
        app.register_blueprint(subject(parts))
    app.register_blueprint(setup(parts, limiter))
    return app
