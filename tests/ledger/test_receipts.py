"""A receipt proves what it says, and nothing else."""

from __future__ import annotations

import json
import os

from smtpctl.ledger.receipts import is_genuine, signed


def test_a_receipt_is_genuine_until_a_word_of_it_changes() -> None:
    private = os.urandom(32)
    receipt = json.loads(json.dumps(signed({"what": "erasure", "subject": 7}, private)))
    public = bytes.fromhex(receipt["key"])
    assert is_genuine(receipt, public)
    assert not is_genuine(receipt, os.urandom(32))
    assert not is_genuine({**receipt, "statement": {"what": "erasure", "subject": 8}}, public)
    assert not is_genuine({}, public)
