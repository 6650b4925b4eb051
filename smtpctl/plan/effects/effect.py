"""One effect of a change, and how effects that are alike become one phrase."""

from __future__ import annotations

from collections.abc import Iterable

from smtpctl.model.frozen import Frozen

#: Longer values are not quoted: the diff below the summary shows them.
LONGEST_VALUE = 60

#: More effects of one file than this are counted, not listed.
MOST = 8


class Effect(Frozen):
    """What changes, in words. ``instance`` is the Postfix instance that it is about, where it is about one."""

    text: str
    instance: str = ""


def merged(effects: Iterable[Effect]) -> tuple[str, ...]:
    """Each text once. Instances are named where an effect is about some of the changed ones and not about all."""
    instances: dict[str, dict[str, None]] = {}
    for effect in effects:
        instances.setdefault(effect.text, {}).update({effect.instance: None} if effect.instance else {})
    changed = {name for names in instances.values() for name in names}
    return tuple(
        f"{', '.join(names)}: {text}" if names and set(names) != changed else text for text, names in instances.items()
    )


def changed(old: str | None, new: str | None) -> str:
    """How a value changes. Lists are told by what comes and goes; long values are left to the diff."""
    if old is None:
        return f"set to {new or 'nothing'}" if len(new or "") <= LONGEST_VALUE else "set"
    if new is None:
        return f"no longer set (was {old or 'nothing'})" if len(old) <= LONGEST_VALUE else "no longer set"
    if told := _list_changed(_items(old), _items(new)):
        return told
    if max(len(old), len(new)) > LONGEST_VALUE:
        return "changed"
    return f"{old or 'nothing'} → {new or 'nothing'}"


def _list_changed(old: list[str], new: list[str]) -> str:
    """Items that come and go, where some stay; empty where the values are better told whole."""
    come, gone = [item for item in new if item not in old], [item for item in old if item not in new]
    if len(gone) == len(old) or max(len(old), len(new)) < 2:
        return ""
    told = ", ".join([f"{item} added" for item in come] + [f"{item} removed" for item in gone])
    return "in another order" if not told else told if len(told) <= 2 * LONGEST_VALUE else ""


def _items(value: str) -> list[str]:
    """Items of a list that is written with commas."""
    return [item.strip() for item in value.split(",") if item.strip()]
