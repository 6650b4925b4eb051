"""What the world says about our mail: bounces (RFC 3464) as values, and what each of them means.

Pure: bytes in, values out. Nothing here opens a file, a socket or a database, and nothing here trusts the mail that
it reads: sizes, depths and counts are bounded where the mail is taken apart.
"""
