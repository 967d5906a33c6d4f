"""The 20-second task: due events are claimed, chosen for, sent, tried again and settled."""
