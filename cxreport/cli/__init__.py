"""The command line: options, progress, errors and exit codes; a file for each command."""
