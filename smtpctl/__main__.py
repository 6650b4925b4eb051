"""``python -m smtpctl``."""

from smtpctl.cli import main

main()
