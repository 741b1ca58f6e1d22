"""The command line: ``midge VERB``, one module a verb, and what they share."""
