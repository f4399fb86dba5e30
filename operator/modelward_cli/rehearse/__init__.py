"""`modelward rehearse`: a manifest's rollout in the simulator, before it is applied."""
