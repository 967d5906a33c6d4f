"""The ledger of all events: what became of each, and which worker has it now. The truth; Celery only dispatches."""
