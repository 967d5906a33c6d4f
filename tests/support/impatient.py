"""A role that watches for alerts all the time, and waits for nothing: python -m tests.support.impatient role web"""

import sys

from tasks.alerts import conditions, watch
from tasks.alerts.conditions import Patience
from webhook.cli.main import main

if __name__ == "__main__":
    watch.EVERY, conditions.SILENT = 0.2, 9.0  # longer than any absence of Redis that a test brings about
    conditions.PATIENCE = dict.fromkeys(conditions.PATIENCE, Patience(0.3, 0.3))
    watch.PATIENCE = conditions.PATIENCE
    sys.argv[0] = "wecom-welcome"
    main()
