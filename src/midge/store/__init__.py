"""What outlives the process: the journal of changes and the stores that keep it.

`journal` collects what a turn of the broker changes, `base` says what a store is, `memory` keeps it
in dictionaries, `sqlite` in a file.
"""
