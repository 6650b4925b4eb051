"""smtpctl: orchestration and policy layer over a fleet of stock Postfix servers."""

__version__ = "0.1.0"
