"""The corp's members and departments, and lookups about an event's member and customer."""
