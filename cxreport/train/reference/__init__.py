"""Plain implementations in PyTorch that exported graphs are compared with."""
