"""Customers who were not greeted: the work list, how it is filled, and what people do about each of them."""
