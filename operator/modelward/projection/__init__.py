"""Every object that should exist, as full manifests: a pure function of what was observed and decided."""
