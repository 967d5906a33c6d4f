"""Welcomes: everything by which they are written, tried, published and looked at.

overview     the rules in order and the list of welcomes
rules        the form of a rule (rule_form, rule_words, vocabulary)
editor       the form of a welcome (editor_form, editor_values, editor_buttons), and what customers will see (preview)
media        the files that welcomes show, and how they stand at WeCom (uploads, media_status)
groups       group welcomes, and what WeCom has of them
publishing   what a draft changes (differences), and for whom
revisions    the history, the way back, books as files
explaining   who gets what, and why
"""
