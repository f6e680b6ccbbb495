#!/usr/bin/env python3
"""How long a reading takes from its sensor to the subscriber behind the uplink's broker, while the uplink is idle and while it
drains a backlog.

  tests/bench/latency.py --build build/release [--rounds 3] [--readings 10000000] [--seconds 5] [--backfill-rate 550000] [--awake]

A thousand readings a second, a message each, go to the listener; the uplink has max_delay = "0s" and carries them to mosquitto.
  direct    oldest-first, no backlog
  idle      live-first, no backlog
  draining  live-first, while so many readings that came before the target was there are on their way too
  limited   the same, with backfill_rate
  beside    live-first without a backlog, while another daemon drains as much to the same target: what the processors and the target that are
            shared cost by themselves, so what is left of the ratio is the uplink's own
With --awake a loop of the lowest priority keeps each processor from sleeping: else what is measured of an idle uplink is, on many a
virtual machine, how long its processors take to wake up.
The broker sends without delay too (set_tcp_nodelay), as it would else keep small messages for the subscriber's TCP.
Prints medians and writes BUILD/latency.json. Exits 1 when a reading is missing, or the backlog was gone before the last reading.
"""
import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from drain import BATCH, BUFFER, delivered, metric
from end_to_end import median
from listener import LISTENER, load
from rig import Rig, accepts, free_port, wait_until

RATE = 1000
LATE_AFTER = 5.5  # seconds: what is younger is current to the lane live, which would go through it in order
UPLINK = """
[[uplink.mqtt]]
name = "up"
broker = "mqtt://127.0.0.1:{port}"
topic = "{topic}/{{stream}}/{{lane}}"
streams = ["readings"]
order = "{order}"
batch = {{ max_delay = "0s", max_bytes = "{max_bytes}", max_readings = 2000 }}
{more}
"""
OTHER = 'client_id = "other"'  # a broker ends one of two connections of the same name
BACKLOG_DRIVER = """
[[driver.mqtt_listener]]
name = "past"
listen = "127.0.0.1:{port}"
inflight_max = 20000
  [[driver.mqtt_listener.subscribe]]
  topic = "load/{{tag...}}"
  value = "/value"
  each = "/readings"
"""


def start_target(rig, port):
    configuration = rig.folder / "target.conf"
    configuration.write_text(f"user root\nlistener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nset_tcp_nodelay true\n", encoding="utf-8")
    target = rig.start("target", "/usr/sbin/mosquitto", "-c", configuration)
    wait_until(lambda: accepts(port), "the target takes connections")
    target.port = port
    return target


def backlog(daemon):
    return metric(daemon, 'tidegate_uplink_backlog_readings{uplink="up"')


@contextlib.contextmanager
def awake():
    loops = [subprocess.Popen(["chrt", "--idle", "0", sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count())]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def start_daemon(rig, arguments, target_port, order, more="", topic="tidegate"):
    """With a port for what is current, and one, `past`, for the backlog."""
    port, past = free_port(), free_port()
    listener = LISTENER.format(port=port, sync="interval", each="", topic="bench", inflight=20000)
    daemon = rig.daemon(listener.replace("[buffer]\n", BUFFER, 1) + BACKLOG_DRIVER.format(port=past)
                        + UPLINK.format(port=target_port, topic=topic, order=order, max_bytes=arguments.max_bytes, more=more))
    daemon.port, daemon.past = port, past
    return daemon


def measure(name, arguments):
    order = "oldest-first" if name == "direct" else "live-first"
    more = f'backfill_rate = "{arguments.backfill_rate}/s"' if name == "limited" else ""
    has_backlog = name in ("draining", "limited", "beside")
    with contextlib.ExitStack() as rigs:
        rig = rigs.enter_context(Rig(arguments.build))
        target_port = free_port()
        daemon = start_daemon(rig, arguments, target_port, order, more)
        draining = start_daemon(rigs.enter_context(Rig(arguments.build)), arguments, target_port, "oldest-first", OTHER, "other") \
            if name == "beside" else daemon
        if has_backlog:
            taken = load(rig, draining.past, "--messages", arguments.readings // BATCH // 50 * 50, "--batch", BATCH)
            if not taken["complete"]:
                raise RuntimeError("the listener did not take all readings")
            late_at = time.monotonic() + LATE_AFTER
            wait_until(lambda: time.monotonic() > late_at, "all of the backlog is late")
        target = start_target(rig, target_port)
        for each in {daemon, draining}:
            wait_until(lambda each=each: metric(each, 'tidegate_uplink_up{uplink="up"') == 1, "the uplink is up")
        first = delivered(draining)
        code, text = rig.load(daemon, target, "--count", RATE * arguments.seconds, "--rate", RATE, "--listen", "tidegate/readings/live")
        figures = json.loads(text)
        if code != 0:
            raise RuntimeError(f"{name}: {text}")
        live = figures["count"] if draining is daemon else 0
        figures["backlog_rate"] = (delivered(draining) - first - live) / figures["seconds"]
        if has_backlog and backlog(draining) == 0:
            raise RuntimeError("the backlog was gone before the last reading: more --readings")
        return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--readings", type=int, default=10_000_000, help="of the backlog")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--max-bytes", default="64KiB", help="of a batch: what is current waits for one or two of the backlog")
    parser.add_argument("--backfill-rate", type=int, default=550_000, help="readings a second, of the row limited")
    parser.add_argument("--awake", action="store_true", help="keep the processors from sleeping")
    arguments = parser.parse_args()
    results = {"direct": [], "idle": [], "draining": [], "limited": [], "beside": []}
    with awake() if arguments.awake else contextlib.nullcontext():
        for _ in range(arguments.rounds):
            for name, rounds in results.items():
                rounds.append(measure(name, arguments))
    print(f"{'uplink':<10}{'p50 ms':>9}{'p99 ms':>9}{'p99.9 ms':>10}{'backlog readings/s':>20}")
    for name, rounds in results.items():
        print(f"{name:<10}{median(rounds, 'p50_ms'):>9.2f}{median(rounds, 'p99_ms'):>9.2f}{median(rounds, 'p999_ms'):>10.2f}"
              f"{median(rounds, 'backlog_rate'):>20.0f}")
    for name, other in (("draining", "idle"), ("limited", "idle"), ("beside", "idle"), ("draining", "beside")):
        ratio = [busy["p99_ms"] / quiet["p99_ms"] for busy, quiet in zip(results[name], results[other])]
        print(f"p99 {name} over p99 {other}, a round: {', '.join(f'{one:.1f}' for one in ratio)}")
    output = Path(arguments.build) / "latency.json"
    output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten: {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
