"""A stand-in for WeCom: its HTTP API, its callback pushes, its faults on demand, and records that judge the product.

    faults.py    how the API misbehaves, by rate and from a seed
    greeting.py  the field rules of send_welcome_msg                                  [pure]
    records.py   what became of every added contact: the judge                        [pure]
    world.py     corps, apps, tokens, members, customers, media: WeCom's side of things
    calls.py     what a handler of the API gets and gives
    api.py       tokens and the greeting, and the table of all API paths
    customers.py, contact_ways.py, welcomes.py, group_messages.py, moments.py, tags.py, transfers.py, group_chats.py,
    acquisition.py, product_albums.py, intercept_rules.py, media.py, directory.py
                 a subject of the API each: its handlers, and what they keep of a corp
    sender.py    callback pushes: sealed, sent on time, re-sent
    control.py   the table of paths below /simulator/, which tests and benchmarks steer it by
    server.py    HTTP around api and control; here the faults take effect
    client.py    StandIn: starts it as a process of its own and speaks to control
    run.py       the demo behind `make run`

The product never imports it; it takes one thing from the product, `webhook.callback.crypto`.
"""
