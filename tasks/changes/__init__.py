"""What becomes of a contact after the add: customers who leave, members who remove them, transfers that fail."""
