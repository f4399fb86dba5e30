"""`modelward fetch`: brings a model from where it is stored into a folder, and says exactly what was brought.

A program of its own, in an image of its own: it runs in the pod of the model, with the credentials of the model's
owner. The operator neither imports it nor sees what it sees. docs/fetch.md is its contract, docs/design/0019-fetch.md
says why it is as it is.

The order is that of `modelward_fetch.fetch`: resolve the name, list, check limits, read parts, verify, unpack, publish,
report. `sources` are the stores; everything else is the same for each of them.
"""
