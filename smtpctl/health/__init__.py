"""Health of a host as mail sees it: probe messages of smtpctl's own, which never leave the fleet. Runs on the hosts."""
