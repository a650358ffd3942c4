"""What travels between the processes: two verbs, `put_spec` down and `get_status` up.

`contract.py` the verbs · `agent.py` the keeping of specs and the publishing of statuses, shared by every agent ·
`codec.py` strict JSON · `server.py` and `client.py` the verbs over HTTPS with mutual TLS · `node.py`, `network.py`,
`storage.py`, `cluster.py` one file of frozen messages a peer. The schema is frozen in `tests/wire/golden/`.
"""

VERSION = "1"
"""The wire's version. Components ship in lockstep: a peer that speaks another is reported `incompatible`."""
