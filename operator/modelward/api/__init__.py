"""The resource as typed values: spec, status, runtimes, and the CRDs made from them.

`decode` is the one door: it turns what the API server sends into frozen structs. Nothing here opens a
connection, reads a clock or draws a random number.
"""
