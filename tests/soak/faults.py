"""What goes wrong in a round, and when: each kind once a round, so that every round asks the same of the daemon, in another order each time."""
import heapq
import signal
import threading

from plant import throw_bytes, throw_rubbish
from rig import wait_until
from server import NOT_YET

LEAD = 3
RELOADED_TOGETHER = 3
PLACES_TRIED = 500


def in_background(work, *arguments):
    """For what may take its time, such as rubbish that a stopped broker does not take."""
    threading.Thread(target=work, args=arguments, daemon=True).start()


class Fault:
    """`begin`, and after a while `end`. `row` is where plots show it."""

    def __init__(self, name, row, begin, end=None, seconds=(5, 25)):
        self.name, self.row, self.begin, self.end, self.seconds = name, row, begin, end, seconds


def of_server(server, number=signal.SIGTERM):
    yield Fault(f"{server.name} ended", "targets", lambda: server.send(number), server.start, (5, 30))
    yield Fault(f"{server.name} stopped", "targets", lambda: server.send(signal.SIGSTOP), lambda: server.send(signal.SIGCONT), (3, 15))


def of_proxy(name, proxy):
    yield Fault(f"{name} reset", "network", proxy.reset)
    yield Fault(f"{name} reset again", "network", proxy.reset)
    yield Fault(f"{name} silent", "network", lambda: proxy.silence(True), lambda: proxy.silence(False), (5, 20))


def of_http(server):
    yield Fault(f"{server.name} in trouble", "targets", lambda: server.send(signal.SIGUSR1))


def of_device(server):
    yield Fault(f"{server.name} gone", "devices", lambda: server.send(signal.SIGKILL), server.start, (5, 25))


def of_absent(name, proxy):
    yield Fault(f"{name} gone", "devices", lambda: proxy.vanish(True), lambda: proxy.vanish(False), (5, 20))


def of_line(line, chance):
    for _ in range(5):
        yield Fault("noise on the line", "devices", lambda: line.noise(chance))


def of_rubbish(ports, admin, chance):
    for _ in range(2):
        yield Fault("rubbish", "rubbish", lambda: in_background(throw_rubbish, ports, chance))
        yield Fault("rubbish at the admin address", "rubbish", lambda: in_background(throw_bytes, admin, chance))


def of_reloads(gateway, names, chance):
    """In parts, each taken back some time later."""
    names = chance.sample(names, len(names))
    for at in range(0, len(names), RELOADED_TOGETHER):
        part = names[at:at + RELOADED_TOGETHER]
        yield Fault("reload " + "+".join(part), "reloads", lambda part=part: gateway.change(part, True),
                    lambda part=part: gateway.change(part, False), (10, 30))


class Round:
    """The steps of one round in the order of their times; run from one thread."""

    def __init__(self, faults, began, seconds, calm_seconds, chance):
        """Begin and end of every fault are before the calm part of the round. Faults of one thing follow each other."""
        self.steps, self.left_out = [], 0
        span, busy = seconds - calm_seconds - LEAD, {}
        for fault in chance.sample(faults, len(faults)):
            lasts = min(chance.uniform(*fault.seconds), span / 3) if fault.end else 0
            taken = busy.setdefault(fault.name.split()[0], [])
            tries = (LEAD + chance.uniform(0, span - lasts) for _ in range(PLACES_TRIED))
            at = next((at for at in tries if all(at + lasts + 1 < first or at > last + 1 for first, last in taken)), None)
            if at is None:
                self.left_out += 1
                continue
            taken.append((at, at + lasts))
            self.push(began + at, fault, True)
            if fault.end:
                self.push(began + at + lasts, fault, False)

    def push(self, at, fault, is_begin):
        heapq.heappush(self.steps, (at, id(fault), is_begin, fault))

    def next_at(self):
        return self.steps[0][0] if self.steps else float("inf")

    def run_due(self, now, tell):
        while self.steps and self.steps[0][0] <= now:
            _, _, is_begin, fault = heapq.heappop(self.steps)
            if (fault.begin if is_begin else fault.end)() == NOT_YET:
                self.push(now + 1, fault, is_begin)
            else:
                tell(fault, is_begin)

    def finish(self, tell):
        """What could not be started again by now, such as a server that takes long to end."""
        for _, _, is_begin, fault in self.steps:
            if not is_begin:
                wait_until(lambda fault=fault: fault.end() != NOT_YET, f"the end of {fault.name}")
                tell(fault, False)
        self.steps = []
