"""The demo: a small company, its last thirty days, and the customers who come while it runs.

company.py       members, departments, how customers come, channels, the book and its revisions
book.yaml        the welcome book, with its files in media/
history.py       thirty days of customers, a bad hour among them; always the same ones                        [pure]
installation.py  a data directory in which all of that has happened
live.py          customers who are added while it runs, and what goes wrong with a few of them
"""
