"""Welcome templates: what customers are sent, who gets what, and where it is kept.

model, select, render and book are pure; store is Redis'.
"""
