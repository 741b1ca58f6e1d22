"""The store in a file of SQLite.

`schema` says what the tables are, `database` opens and commits, `batch` is what it writes and
`reading` what it reads, `salvage` saves what can be read of a damaged file, `upkeep` is what
`midge store` does.
"""
