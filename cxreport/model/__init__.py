"""The model bundle and its networks: loading, precisions, and the calls of its graphs."""
