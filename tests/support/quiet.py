"""A listener to trainings that shows nothing."""


class Quiet:
    """Collects epochs; stops the run as Ctrl-C would before a given one."""

    def __init__(self, stop_before: tuple[str, int] | None = None):
        self.epochs = []
        self._stop_before = stop_before

    def step(self, stage, done, total, loss):
        if self._stop_before == (stage, len([e for e in self.epochs if e[0] == stage])):
            raise KeyboardInterrupt

    def epoch(self, stage, figures):
        self.epochs.append((stage, figures))
