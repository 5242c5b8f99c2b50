"""Reports and images in one space: building an index and searching it."""
