"""eucanetd, the network agent of a node: gives guests their links, addresses, rules and names.

`agent.py` the two verbs and the loop · `plan.py` what shall be there, from the spec and from what must not be cut off ·
`compile/` the same as links, routes, rules and files · `diff.py` the steps from what is there to what shall be ·
`executor.py` takes them, item by item · `app.py`, `config.py` composition and options.
"""
