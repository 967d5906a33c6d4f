"""What serves the web application: gunicorn's processes, waitress in each, and their bounds."""
