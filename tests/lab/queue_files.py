"""A queue that is full at once: copies of a message that waits, each with a recipient and a queue id of its own.

Copied on the host itself, as files: handing 100,000 messages in by SMTP takes longer than what is tested with them. A
long queue id is seconds in base 52, microseconds in base 52, 'z', and the inode in base 51; the folder of a queue that
is hashed is named by the first hexadecimal digit of the microseconds (mail_queue.h). What made the last attempt fail
stands in a file of the same name below ``defer``, and is copied along. The copies are due in two hours: Postfix tries
none of them before it is asked to.
"""

from __future__ import annotations

from smtpctl.lab import Lab

#: How a message's number stands in its recipient and Message-ID, so that copies are of the same length.
DIGITS = 9

_COPY = r"""
import os, sys, time
instance, number, first, count, sender, *parts = sys.argv[1:]
number, sender = number.encode(), sender.encode()
senders = [name.encode() for name, times in zip(parts[::2], parts[1::2]) for _ in range(int(times))]
SIGNS = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
def base(value, size, digits):
    text = ""
    while value or len(text) < digits:
        value, rest = divmod(value, size)
        text = SIGNS[rest] + text
    return text
spool = f"/var/spool/postfix-{instance}"
found = [os.path.join(folder, name) for folder, _, names in os.walk(f"{spool}/deferred") for name in names]
template = next(path for path in found if number in open(path, "rb").read())
reasons = template.replace("/deferred/", "/defer/")
originals = [(path, open(path, "rb").read(), os.stat(path)) for path in (reasons, template)]
due = time.time() + 7200
for index in range(int(first), int(first) + int(count)):
    mine = str(index).zfill(len(number)).encode()
    place = index - int(first)
    swapped = senders[place] if place < len(senders) else sender
    seconds, microseconds = int(originals[1][2].st_mtime) - 3600 - index // 1000000, index % 1000000
    drafts = []
    for path, content, status in originals:
        draft = f"{spool}/hold/{os.path.basename(os.path.dirname(os.path.dirname(path)))}-copy"
        with open(draft, "wb") as file:
            file.write(content.replace(number, mine).replace(sender, swapped))
            os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fchmod(file.fileno(), status.st_mode & 0o777)
            inode = os.fstat(file.fileno()).st_ino
        os.utime(draft, (due, due))
        drafts.append((draft, os.path.dirname(os.path.dirname(path)), status))
    name = base(seconds, 52, 6) + base(microseconds, 52, 4) + "z" + base(inode, 51, 1)
    for draft, queue, status in drafts:
        folder = f"{queue}/{microseconds:05X}"[: len(queue) + 2]
        if not os.path.isdir(folder):
            os.mkdir(folder, 0o700)
            os.chown(folder, status.st_uid, status.st_gid)
        os.rename(draft, f"{folder}/{name}")
"""


def fill(
    lab: Lab, host: str, instance: str, number: str, first: int, count: int, sender: str, parts: dict[str, int]
) -> None:
    """Copy the deferred message with ``number`` in its recipient ``count`` times, numbered from ``first``.

    They come from the local part ``sender`` as it does, but the first ones: from ``parts``, so many each.
    """
    assert len(number) == DIGITS
    assert all(len(name) == len(sender) for name in parts)
    words = [word for name, times in parts.items() for word in (name, str(times))]
    lab.run(host, ["python3", "-c", _COPY, instance, number, str(first), str(count), sender, *words])
