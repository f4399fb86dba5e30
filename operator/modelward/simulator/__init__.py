"""The rehearsal: a whole rollout played on a virtual clock, with the operator's own code and a cluster in memory.

The reconciler runs unchanged, against an API server that is a few dictionaries (`api_server`, reached by
`connection`). Around it are controllers that make pods (`controllers`), nodes on which these load, crash and are
evicted (`nodes`), a Gateway (`gateway`), requests (`traffic`) and a reader of metrics (`meter`); `world` has the knobs.
`simulation` moves the clock, and can deliver events late and stop the operator before or after any write. `story` writes
what happened. The golden tests are made of this.

`rehearse` plays a user's own manifests (`manifests`, `rules`) through the `scenarios` of `modelward rehearse`.
"""
