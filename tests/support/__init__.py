"""What tests share. Fixtures are in the conftest.py of the folder that all who ask for them are in.

to start from        builders books pushes ledger samples strategies
in this process      worker web console cli wecom_app
as processes         processes crashing hurried broker chromium
the other end        servers recording certificate wire proxy outbound_proxy lost_answers
to find out          until judge documents reworded unit
"""
