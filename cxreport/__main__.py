"""``python -m cxreport``."""

from cxreport.cli import main

main()
