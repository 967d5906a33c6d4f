"""`python -m webhook` is `wecom-welcome`."""

from webhook.cli.main import main

main()
