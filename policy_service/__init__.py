"""Postfix policy delegation: who may send what as whom, how much of it, and through which pool and provider.

Programs of its own (``python -m policy_service serve | from-guard | route``), over one rules file that ``smtpctl policy
compile`` renders. It runs on the hosts under Debian's Python with Debian's packages; it never imports ``smtpctl``.

Arithmetic, parsing and rules are functions over values; sockets, clocks, files and the database sit in the modules that
are named for them.
"""
