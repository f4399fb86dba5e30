"""The rehearsal: a whole rollout played on a virtual clock, with the operator's own code and a cluster in memory.

The reconciler runs unchanged, against an API server that is a few dictionaries (`api_server`) and child
controllers that make pods ready after as many seconds as their model takes to load (`controllers`).
`simulation` moves the clock, and can deliver events late and stop the operator before or after any write.
`story` tells what happened. The golden tests are made of this.
"""
