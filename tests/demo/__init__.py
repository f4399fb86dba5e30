"""The demonstration: a real Kubernetes, a served model, requests, and a new version of it while requests flow.

`make demo` and `make demo-down`. Every step checks what is there first, so an interrupted run is continued.
"""
