"""``python -m cxreport``."""

from cxreport.cli.app import main

main()
