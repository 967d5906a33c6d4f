"""Placeholders of installed packages: what they declare, and how they are asked for values."""
