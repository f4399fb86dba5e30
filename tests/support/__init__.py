"""What several tests need: kubectl, the operator as a process, waiting."""
