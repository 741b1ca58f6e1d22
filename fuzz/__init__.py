"""Fuzz targets: each states its invariant first, and runs bounded among the tests."""
