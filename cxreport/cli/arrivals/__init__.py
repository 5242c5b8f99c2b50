"""Commands of studies that arrive by themselves."""
