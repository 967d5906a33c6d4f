"""Customers who were not greeted: the work list, how they are found, and what people do about them."""
