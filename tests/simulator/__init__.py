"""A stand-in for WeCom: its HTTP API, its callback pushes, faults on demand, and records that judge the product.

    faults.py    fault injection, by rates and from a seed
    greeting.py  the field rules of send_welcome_msg                                  [pure]
    records.py   the outcome of every added contact: the judge                        [pure]
    world.py     corps, apps, tokens, members, customers, media: WeCom's state
    calls.py     what an API handler receives and returns
    api.py       tokens and the greeting, and the table of all API paths
    customers.py, contact_ways.py, welcomes.py, group_messages.py, moments.py, tags.py, transfers.py, group_chats.py,
    acquisition.py, product_albums.py, intercept_rules.py, media.py, directory.py
                 one subject of the API each: its handlers, and their state per corp
    sender.py    callback pushes: encrypted, sent on time, redelivered
    control.py   the table of paths below /simulator/, by which tests and benchmarks control it
    server.py    HTTP around api and control; applies the faults
    client.py    StandIn: starts it as a process of its own, and calls control
    run.py       the demo behind `make run`

The product never imports it. Of the product it imports `webhook.callback.crypto`, and for the demo two modules of
`webhook.cli` that end a process with its parent and by a signal.
"""
