"""The Flask side: HTTP in, pages out. `create_app` is wiring, nothing else."""

from flask import Flask, abort, request
from werkzeug.middleware.proxy_fix import ProxyFix

from tasks.assembly import Parts
from tasks.intake import Intake
from webhook.callback import callback
from webhook.crypto import Envelope
from webhook.health import health
from webhook.parsing import BODY_LIMIT


def create_app(parts: Parts) -> Flask:
    """The web application on these parts; their Redis client must have `tasks.intake.TIMEOUT` as its time-out."""
    settings = parts.settings
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT
    envelopes = {name: Envelope.of(one.token, one.encoding_aes_key, one.corp_id) for name, one in settings.apps.items()}
    app.register_blueprint(callback(envelopes, Intake(parts.ledger), parts.ledger, parts.counters))
    app.register_blueprint(health(parts))
    if settings.metrics_bind:
        _keep_metrics_apart(app, int(settings.metrics_bind.rpartition(":")[2]))
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    return app


def _keep_metrics_apart(app: Flask, port: int) -> None:
    """Serve /metrics on METRICS_BIND alone, and nothing but /metrics and /healthz there."""

    @app.before_request
    def apart() -> None:
        bound = request.environ.get("werkzeug.proxy_fix.orig", request.environ)  # a forwarded port is the client's word
        here = bound["SERVER_PORT"] == str(port)
        if request.endpoint != "health.alive" and here != (request.endpoint == "health.metrics"):
            abort(404)
