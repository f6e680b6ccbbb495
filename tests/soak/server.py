"""Processes that faults are made of."""
import os
import signal
from pathlib import Path

NOT_YET = "not yet"


class Server:
    """A process that is ended, killed, and stopped for a while, by its id."""

    def __init__(self, name, process, restart):
        self.name, self.process, self.restart = name, process, restart

    def is_running(self):
        return self.process.process.poll() is None

    def all_ids(self):
        """With its children, as the server of PostgreSQL has them; none of a process that has ended, whose id may be that of another one."""
        if not self.is_running():
            return []
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def send(self, number):
        for pid in self.all_ids()[:None if number in (signal.SIGSTOP, signal.SIGCONT) else 1]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def start(self):
        if self.is_running():
            return NOT_YET
        self.process = self.restart()
        return None


def again(rig, process):
    """The same program with the same words; returns the new process."""
    return lambda: rig.start(process.name, *process.process.args)
