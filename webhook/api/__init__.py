"""The HTTP API: a Flask application of its own, mounted at /api/v1 where the console is.

    application   assembles it
    subject       what every operation has: a scope, what it takes, the problems that it may answer with
    access        the token of a request, and what it may do; limits
    wrong_tokens  slows those that are none
    problems      every answer that is no success, as RFC 9457 says it
    current       what a view works with: the services, the app, the token; and the audit trail
    schemas       what goes in and comes out; the OpenAPI document is made of them
    apps, deliveries, numbers, books, drafts, explain   one blueprint each

A view reads what is asked, calls what the command of the same name calls, and returns values for a schema.
"""

PREFIX = "/api/v1"  # where webhook.application mounts it
