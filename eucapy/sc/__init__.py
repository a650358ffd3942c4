"""The storage controller: the volumes and snapshots of one zone.

`agent.py` the two verbs and the loop · `planner.py` what is missing (pure) · `executor.py` does it · `transfer.py` fetches
images · `observe.py` tells what is (pure) · `config.py` · `app.py` HTTPS. Drivers: `eucapy/drivers/block/`.
"""
