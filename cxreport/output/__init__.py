"""Reports as text, JSON and JSON Lines; explanations on the terminal and as a page; writing them to files."""
