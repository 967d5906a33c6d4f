"""The operators' console: a Flask application of its own, mounted at /console beside the callback.

    application   assembles it
    current       what every view works with: the services, the page's app, the operator
    auth          sign-in, sessions, CSRF, rate limits, headers      (every request passes through it first)
    language      Chinese first, English second; the .po files under translations/
    layout        what every page shares: the app it is about, navigation, the state of the system
    error_pages   what a page says when something fails, and how typed text is kept
    the rest      one blueprint per subject, with its templates under pages/<subject>/

It is a separate application so that the callback keeps its small body limit and never handles cookies.
"""
