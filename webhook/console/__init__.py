"""The operators' console: a Flask application of its own, mounted at /console beside the callback.

    application   puts it together
    current       what every view works with: services, the app that its page is about, who is signed in
    auth          who may come in: sign-in, sessions, CSRF, limits, headers      (every request passes it first)
    language      Chinese first, English second; the .po files under translations/
    layout        what every page shares: the app it is about, navigation, the state of the system
    error_pages   what a page says when something fails, and how typed text is kept
    the rest      a blueprint a subject, with its pages under pages/<subject>/

Its own application, so that the callback keeps its small body limit and knows nothing of cookies.
"""
