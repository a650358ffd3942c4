"""The node controller: runs the instances that its spec names, on one host.

    agent.py     the two verbs and the loop            planner.py   spec × observed → steps (pure)
    observe.py   what is on the host                   executor.py  one step, without choices
    records.py   what the node remembers of each instance      disks.py · image_cache.py   the guests' local disks
    metadata.py  169.254.169.254                       metadata_tree.py   what it answers (pure)

Guests outlive this process; after a restart it reconciles from its ledger without asking anyone.
"""
