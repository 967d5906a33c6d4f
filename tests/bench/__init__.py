"""The benchmark behind `make bench`.

runs.py      the table of runs, and how one goes for one system
systems.py   product, reference and a Redis each: started, stopped
pages.py     the console's pages, with little history and with much
measure.py   CPU of a process tree, PSS by role
targets.py   what the product promises, judged                      [pure]
report.py    table and JSON                                         [pure]
reference/   how most would write it today; runs in .venv-reference, from its own lock file
"""
