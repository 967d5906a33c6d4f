"""Events passed on to the corp's other systems: signed, at least once, in order for each customer."""
