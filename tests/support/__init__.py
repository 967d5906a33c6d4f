"""What tests share. Fixtures are in the conftest.py of the folder that all who ask for them are in.

to start from        builders books editor pushes ledger samples strategies people past large leaving forwarding
in this process      worker controlled web console cli wecom_app overload
as processes         processes crashing skewed impatient hurried alone api broker sentinels ailing chromium image
the other end        servers recording certificate wire proxy outbound_proxy front lost_answers receiver crm
to find out          until judge documents reworded unit scrape prometheus monitor manifests
to make a file anew  icons pinyin_table
"""
