"""Reports in the output formats; explanations on the terminal and as a page; writing them to files."""
