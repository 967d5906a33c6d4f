"""Metrics, queue status, process heartbeats and job results; and the reaper, which recovers lost events."""
