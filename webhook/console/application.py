"""The console's application: `create_console` is wiring, nothing else."""

from flask import Flask

from tasks.services import Services
from webhook.console import (
    apps,
    audit,
    auth,
    channels,
    current,
    dashboard,
    deliveries,
    error_pages,
    language,
    layout,
    losses,
    missed,
    open_sessions,
    people,
    picker,
    queue,
    setup,
    statistics,
    system,
    tagging,
    tokens,
    transfers,
    wecom,
)
from webhook.console.welcomes import (
    approvals,
    editor,
    examples,
    explaining,
    groups,
    media,
    overview,
    publishing,
    revisions,
    rules,
    selection,
)
from webhook.patience import ShowsTheRest, WaitsOnce

FORM_LIMIT = 1 << 20  # bytes of one request, unless a view that takes files says otherwise
A_YEAR = 365 * 86400
SUBJECTS = (
    apps,
    dashboard,
    overview,
    rules,
    selection,
    editor,
    examples,
    media,
    groups,
    publishing,
    approvals,
    revisions,
    explaining,
    deliveries,
    missed,
    transfers,
    tagging,
    queue,
    statistics,
    losses,
    channels,
    picker,
    setup,
    system,
    audit,
    people,
    open_sessions,
    tokens,
    wecom,
)


def create_console(services: Services) -> Flask:
    """The console on these services. Needs `settings.has_console`."""
    app = Flask("webhook.console", template_folder="pages")
    app.config.update(MAX_CONTENT_LENGTH=FORM_LIMIT, MAX_FORM_MEMORY_SIZE=FORM_LIMIT, SEND_FILE_MAX_AGE_DEFAULT=A_YEAR)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    current.set_services(app, services)
    language.speak(app)
    layout.frame(app, services)
    auth.guard(app, services)
    app.register_blueprint(error_pages.blueprint)
    for subject in SUBJECTS:
        app.register_blueprint(subject.blueprint)
    app.wsgi_app = WaitsOnce(ShowsTheRest(app.wsgi_app))  # type: ignore[method-assign]
    return app
