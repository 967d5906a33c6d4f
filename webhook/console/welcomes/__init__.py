"""Welcomes: everything by which they are written, tried, published and looked at.

overview     the rules in order and the list of welcomes (rule_list, welcome_list; selection: one act for many)
rules        the form of a rule (rule_form, rule_words, vocabulary), and what pages about rules look up (lookups)
editor       the form of a welcome (editor_form, editor_values, editor_labels, editor_buttons), what customers will see
             (preview), good welcomes to begin with (examples), and one sent to the operator (trying)
media        the files that welcomes show, and how they stand at WeCom (uploads, media_status)
groups       group welcomes, and what WeCom has of them
publishing   what a draft changes (differences, change_groups), and for whom; approvals: by a second person
revisions    the history, the way back, books as files
explaining   who gets what, and why
"""
