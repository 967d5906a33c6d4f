"""The names under which Celery's own tools show work that no message names. Those of messages: `celery_message`."""

GREET = "tasks.greeting.greet"  # one greeting; its id is the event's
FOLLOW_UP = "tasks.followups.follow_up"  # one try of a follow-up
REMIND = "tasks.missed.remind"  # one member told of one missed customer
