"""ZeroMQ's socket types as logic: attach, detach, send, receive; no sockets, no clock.

`pattern` is what all types have in common, `pipe` what lies between a socket and one peer,
`options` the table of options. The types: `pipeline`, `pair`, `pubsub`, `reqrep`, `router`,
`stream`, `draft`.
"""
