"""The command line: `wecom-welcome`, a file for each group of commands; and `up`, which runs all roles."""
