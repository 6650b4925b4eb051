"""A fleet to the desired files, packages, services, checks and probes of each host.

Pure: the same inventory and secrets give the same bytes on any machine at any time. Templates and our own sources are
read from the installed package; nothing else is: no network, no clock, no randomness, no environment.
"""

from smtpctl.render.hosts import render_fleet
from smtpctl.render.templates import template_root

__all__ = ["render_fleet", "template_root"]
