"""The cluster controller: an agent whose apply step is "give each node its part".

agent.py   the two verbs, the loop, the nodes' plain reads      split.py   zone → nodes (pure)
nodes.py   one link a node: push and long-poll                  merge.py   nodes → zone (pure)
"""
