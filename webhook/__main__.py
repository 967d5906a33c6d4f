"""`python -m webhook` is `wecom-welcome`."""

from webhook.cli import main

main()
