"""The store in a file of SQLite.

`schema` says what the tables are, `database` opens, reads and writes them, `salvage` saves what can
be read of a damaged file, `upkeep` is what `midge store` does.
"""
