"""A role with a schedule in seconds instead of minutes: python -m tests.support.hurried SECONDS -- role beat"""

import sys

from tasks.monitoring import jobs
from webhook.cli.main import main

if __name__ == "__main__":
    for task in jobs.SCHEDULE:
        jobs.SCHEDULE[task] = float(sys.argv[1])
    sys.argv = ["wecom-welcome", *sys.argv[sys.argv.index("--") + 1 :]]
    main()
