"""What all commands have in common on the command line: settings of a file, former spellings, a place for results."""
