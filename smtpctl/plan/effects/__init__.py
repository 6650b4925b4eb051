"""What a change of a file means, in the words of the inventory: ``google connections 20 → 10``.

``words`` picks the reader of a file by its path. A reader compares what both contents *say*; what no reader knows, or
what differs in comments only, is said as what it is: so many lines of that file. Secret contents are never quoted.
"""

from smtpctl.plan.effects.effect import Effect, merged
from smtpctl.plan.effects.files import words

__all__ = ["Effect", "merged", "words"]
