"""What is written: JSON records, text for the terminal, pages of an explanation."""
