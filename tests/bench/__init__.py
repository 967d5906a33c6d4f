"""The benchmark behind `make bench`.

runs.py      the table of runs, and how one goes for one system
systems.py   product, references and a Redis each: started, stopped
pages.py     each of the console's pages over a large installation, with little history and with much
measure.py   CPU of a process tree, PSS by role
targets.py   what the product promises, judged                      [pure]
report.py    tables to read, JSON                                   [pure]
tables.py    the tables of README.md and deploy/README.md           [pure]
reference/   how most would write it today (app.py), and the same tuned (tuned.py); runs in .venv-reference
"""
