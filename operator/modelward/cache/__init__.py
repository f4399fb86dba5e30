"""What the operator holds of the cluster: converted once per event, watched, repaired."""
