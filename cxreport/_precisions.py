"""What a bundle computes in; a module of its own, so that the schema of records needs no numpy."""

FLOAT32, INT8 = PRECISIONS = ("float32", "int8")
