"""The operators' console: a Flask application of its own, mounted at /console beside the callback.

    access      who may come in: sign-in, sessions, CSRF, limits, headers          (every request passes it first)
    language    Chinese first, English second; the .po files under translations/
    frame       what every page shares: the app it is about, navigation, the state of the system
    failures    what a page says when something fails, and how typed text is kept
    the rest    one file a subject, with its pages under pages/<subject>/

Its own application, so that the callback keeps its small body limit and knows nothing of cookies.
"""

from flask import Flask

from tasks.services import Services
from webhook.console import (
    auth,
    channels,
    current,
    dashboard,
    deliveries,
    error_pages,
    language,
    layout,
    missed,
    queue,
    setup,
    statistics,
)
from webhook.console.welcomes import explaining, groups, media, overview, publishing, revisions, rules
from webhook.console.welcomes.editor import editor

FORM_LIMIT = 1 << 20  # bytes of one request, unless a view that takes files says otherwise
A_YEAR = 365 * 86400
SUBJECTS = (editor,)


def console(services: Services) -> Flask:
    """The console on these parts. Needs `settings.console_password`."""
    app = Flask(__name__, template_folder="pages")
    app.config.update(MAX_CONTENT_LENGTH=FORM_LIMIT, MAX_FORM_MEMORY_SIZE=FORM_LIMIT, SEND_FILE_MAX_AGE_DEFAULT=A_YEAR)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    current.set_services(app, services)
    language.speak(app)
    layout.frame(app, services)
    auth.guard(app, services)
    app.register_blueprint(error_pages.blueprint)
    for subject in SUBJECTS:
        app.register_blueprint(subject(services))
    for module in (
        dashboard,
        overview,
        rules,
        publishing,
        revisions,
        explaining,
        media,
        groups,
        deliveries,
        missed,
        queue,
        statistics,
        channels,
        setup,
    ):
        app.register_blueprint(module.blueprint)
    return app
