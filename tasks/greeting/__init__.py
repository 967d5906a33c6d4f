"""The 20-second task: claim due events, choose a welcome, send it, retry, and settle the event."""
