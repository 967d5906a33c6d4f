"""Everything that is state: backed up, put back, and erased where a customer asks for it."""
