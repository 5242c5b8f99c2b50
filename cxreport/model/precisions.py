"""What networks compute in; a module of its own, so that the schema of records needs no numpy."""

FLOAT32, INT8, FLOAT16 = PRECISIONS = ("float32", "int8", "float16")
"""A bundle's in single precision or 8-bit integers; an encoder on a GPU in half precision."""
