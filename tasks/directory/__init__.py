"""The corp's members and departments, and what is looked up about the two of an event."""
