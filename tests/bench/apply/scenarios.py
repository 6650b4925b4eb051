"""The four scenarios on the lab's six hosts: first apply, nothing to change, diff, one line; ours beside the peers'."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from tests.bench.apply.peers import Peers
from tests.bench.apply.stage import Run, RunError, Stage, median, note
from tests.bench.figures import Figure, at_most, missing, quicker, shown

#: What is asked of us against (pyinfra, Ansible).
TIMES = {"first apply": (2.5, 10), "nothing to change": (5, 40), "one line": (4, 20), "diff": (5, 40)}

#: A program, and how often it is run.
Runner = tuple[Callable[[], Run], int]


class Scenarios:
    """All scenarios on one stage. Ansible, which takes a minute, runs once unless ``thorough``."""

    def __init__(self, stage: Stage, absent: Mapping[str, str], repeat: int, thorough: bool) -> None:
        self.stage = stage
        self.peers = Peers(stage)
        self.absent = dict(absent)
        self.repeat = repeat
        self.thorough = thorough
        self.rare = repeat if thorough else 1

    def settle(self) -> None:
        """The hosts as smtpctl has them, where another scenario has not left them so."""
        if self.stage.lab.status() is None:
            self.stage.fresh()
        # Another line than any peer has written: a file that is as it should be is not taken over.
        self.stage.change_a_line()
        self.stage.smtpctl("apply", str(self.stage.inventory), "--yes", "--take-over")
        self.peers.describe()

    def first(self) -> Iterator[Figure]:
        """From hosts that have their packages and nothing else; ours last, since the others then go on from there."""

        def from_nothing(run: Callable[[], Run]) -> Runner:
            def begin_and_run() -> Run:
                self.stage.fresh()
                self.peers.describe()
                return run()

            return begin_and_run, 1

        yield from self._compare(
            "first apply",
            {
                "ansible": from_nothing(lambda: self.peers.ansible("-e", "make_folders=1")),
                "pyinfra": from_nothing(self.peers.pyinfra),
                "smtpctl": from_nothing(self._apply),
            },
        )

    def quiet(self) -> Iterator[Figure]:
        """Nothing to change: every tool finds what smtpctl has left."""
        hosts = {name: list(desired.files) for name, desired in self.stage.rendered().items()}
        scenario = "nothing to change"
        runs = {
            "smtpctl": (self._apply, 2 * self.repeat - 1),
            "bare ssh": (lambda: self.peers.bare_ssh(hosts), 2 * self.repeat - 1),
            "pyinfra": (self.peers.pyinfra, self.repeat),
            "ansible": (self.peers.ansible, self.rare),
        }
        if self.thorough:
            runs["mitogen"] = (lambda: self.peers.ansible(mitogen=True), 1)
        yield from self._compare(scenario, runs, files=sum(map(len, hosts.values())))

    def diff(self) -> Iterator[Figure]:
        """One line differs on every host, and that is shown. The inventory is another one at each of our runs."""
        applied = self.stage.days

        def ours() -> Run:
            self.stage.write_inventory(self.stage.days + 1)
            return self.stage.smtpctl("plan", str(self.stage.inventory))

        self.stage.write_inventory(applied + 1)
        self.peers.describe()
        yield from self._compare(
            "diff",
            {
                "smtpctl": (ours, self.repeat),
                "pyinfra": (lambda: self.peers.pyinfra("--dry", "--diff"), self.repeat),
                "ansible": (lambda: self.peers.ansible("--check", "--diff"), self.rare),
            },
        )
        self.stage.write_inventory(applied)

    def line(self) -> Iterator[Figure]:
        """One line changes on every host."""

        def changed(run: Callable[[], Run]) -> Callable[[], Run]:
            def change_and_run() -> Run:
                self.stage.change_a_line()
                self.peers.describe()
                return run()

            return change_and_run

        def ours() -> Run:
            self.settle()  # what peers have written counts as edited by hand
            return changed(self._apply)()

        yield from self._compare(
            "one line",
            {
                "smtpctl": (ours, self.repeat),
                "pyinfra": (changed(self.peers.pyinfra), self.repeat),
                "ansible": (changed(self.peers.ansible), self.rare),
            },
        )

    def _apply(self) -> Run:
        return self.stage.smtpctl("apply", str(self.stage.inventory), "--yes")

    def _compare(self, scenario: str, runners: Mapping[str, Runner], *, files: int = 0) -> Iterator[Figure]:
        """Ours against each peer. All run in turns, so that whatever else the machine does meets everybody; what takes
        a minute and runs once comes after them, when the figures of the others are known."""
        runs: dict[str, list[Run]] = {}
        failed: dict[str, str] = {}
        often = [who for who, (_, count) in runners.items() if count > 1]
        for group in filter(None, (often, [who for who in runners if who not in often])):
            for turn in range(max(runners[who][1] for who in group)):
                for who in group:
                    run, count = runners[who]
                    if turn >= count or who in self.absent or who in failed:
                        continue
                    note(f"{scenario}: {who}, run {turn + 1} of {count}")
                    try:
                        runs.setdefault(who, []).append(run())
                    except RunError as error:
                        note(f"{scenario}: {who}: {error}")
                        failed[who] = str(error).splitlines()[0]
            yield from self._figures(scenario, group, runs, {**self.absent, **failed}, files)

    def _figures(
        self,
        scenario: str,
        group: Sequence[str],
        runs: Mapping[str, list[Run]],
        reasons: Mapping[str, str],
        files: int,
    ) -> Iterator[Figure]:
        medians = {who: median(of) for who, of in runs.items() if who not in reasons}
        bounds = dict(zip(("pyinfra", "ansible"), TIMES[scenario], strict=True)) | {"bare ssh": 1}
        for who in group:
            if who == "smtpctl":
                continue
            name = f"{scenario}, against {who}"
            if not {who, "smtpctl"} <= medians.keys():
                yield missing(name, reasons.get("smtpctl") or reasons.get(who, "not measured"))
            elif who in bounds:
                yield quicker(name, medians["smtpctl"].seconds, medians[who].seconds, bounds[who])
            else:
                yield shown(name, medians["smtpctl"].seconds, peer=medians[who].seconds)
        for who in filter(medians.__contains__, group):
            yield shown(f"{scenario}: CPU of {who}", medians[who].processor)
            yield shown(f"{scenario}: traffic of {who}", medians[who].kilobytes, "KB")
        if files and "smtpctl" in medians and "smtpctl" in group:
            yield at_most("traffic a managed file", medians["smtpctl"].kilobytes / files, 1.2, "KB")
