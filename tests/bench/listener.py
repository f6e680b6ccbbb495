#!/usr/bin/env python3
"""The listener beside a mosquitto with persistence, as what sensors publish to, with the same load in the same run.

  tests/bench/listener.py --build build/release [--rounds 3] [--messages 500000] [--only NAME ...]

  ingest     50 connections with 1,000 messages in flight each, one reading a message, QoS 1: acknowledged by the listener when
             durable (sync at its default, and "always"), and by mosquitto, with the daemon's MQTT driver behind it
  batched    the same with 100 readings a message
  idle       what 1,000 connections cost that say nothing
  latency    1,000 messages a second with sync = "always": publish to PUBACK, beside the fdatasync of the same disk
  relay      sensor to second broker: through the listener, and through a mosquitto that bridges
Prints medians and writes BUILD/listener.json. Exits 1 when an acknowledgement or a reading is missing.
"""
import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from end_to_end import bridge, median, target_broker
from rig import Rig, free_port, wait_until

MIB = 1024 * 1024

LISTENER = """
[buffer]
sync = "{sync}"
[[driver.mqtt_listener]]
name = "direct"
listen = "127.0.0.1:{port}"
connections_max = 5000
inflight_max = {inflight}
  [[driver.mqtt_listener.subscribe]]
  topic = "{topic}/{{device}}/{{tag}}"
  value = "/value"
  {each}
"""
BEHIND_A_BROKER = """
[[driver.mqtt]]
name = "local"
broker = "mqtt://127.0.0.1:{port}"
  [[driver.mqtt.subscribe]]
  topic = "load/{{device}}/{{tag}}"
  value = "/value"
  {each}
"""
UPLINK = """
[[uplink.mqtt]]
name = "cloud"
broker = "mqtt://127.0.0.1:{port}"
streams = ["readings"]
"""


def each(batch):
    return 'each = "/readings"' if batch > 1 else ""


def syncs(daemon):
    from urllib.request import urlopen
    with urlopen(f"http://127.0.0.1:{daemon.admin}/metrics", timeout=10) as reply:
        for line in reply.read().decode().splitlines():
            if line.startswith("tidegate_log_sync_seconds_count"):
                return float(line.split()[1])
    return 0


def load(rig, port, *arguments):
    command = [str(word) for word in (rig.build / "bin/listener_load", "--port", port, *arguments)]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    if not result.stdout:
        raise RuntimeError(f"listener_load: {result.stderr}")
    figures = json.loads(result.stdout)
    figures["complete"] = result.returncode == 0
    return figures


def start_listener(rig, sync, batch=1, topic="load", more=""):
    port = free_port()
    daemon = rig.daemon(LISTENER.format(port=port, sync=sync, each=each(batch), topic=topic, inflight=20000) + more)
    daemon.port = port
    return daemon


def start_broker(rig, batch):
    broker = rig.broker("source", f"persistence true\npersistence_location {rig.folder}/\nmax_inflight_messages 0\n")
    rig.daemon(BEHIND_A_BROKER.format(port=broker.port, each=each(batch)))
    wait_until(lambda: broker.says("load/"), "the daemon subscribes")
    return broker


def ingest(build, arguments, batch=1):
    messages = arguments.messages if batch == 1 else arguments.messages // 5
    rounds = {name: [] for name in ("listener", "listener_always", "mosquitto")}
    for _ in range(arguments.rounds):
        for name, results in rounds.items():
            with Rig(build) as rig:
                if name == "mosquitto":
                    target = start_broker(rig, batch)
                else:
                    target = start_listener(rig, "always" if name == "listener_always" else "interval", batch)
                before = target.cpu_seconds()
                figures = load(rig, target.port, "--messages", messages, "--batch", batch)
                figures["cpu_us"] = (target.cpu_seconds() - before) / messages * 1e6
                figures["resident_mib"] = target.resident_bytes() / MIB
                if name != "mosquitto":
                    figures["syncs_a_second"] = syncs(target) / figures["seconds"]
                results.append(figures)
    return rounds


def batched(build, arguments):
    return ingest(build, arguments, batch=100)


def idle(build, arguments):
    with Rig(build) as rig:
        daemon = start_listener(rig, "interval")
        before = daemon.resident_bytes()
        command = [str(word) for word in (rig.build / "bin/listener_load", "--port", daemon.port, "--idle", 1000,
                                          "--connections", 1, "--messages", 40, "--window", 1)]
        holder = rig.start("idle", *command)
        wait_until(lambda: connections(daemon) >= 1001, "the idle connections are there")
        more = daemon.resident_bytes() - before
        holder.end()
        return {"more_mib": more / MIB, "complete": True}


def connections(daemon):
    return sum(1 for entry in os.scandir(f"/proc/{daemon.pid}/fd") if os.readlink(entry.path).startswith("socket:")) - 2


def fdatasync_milliseconds(folder, count, rate):
    """Of a block that is there already, as the log writes it, at the pace and for as long as the load: how long each sync
    took, and how long after it was due each was done. A disk that stops for 50 ms makes one slow sync, and 50 late ones.
    """
    path = Path(folder) / "probe"
    path.write_bytes(bytes(4096 * 64))
    descriptor = os.open(path, os.O_WRONLY)
    os.fsync(descriptor)
    times = []
    lateness = []
    start = time.monotonic()
    for i in range(count):
        due = start + i / rate
        time.sleep(max(0, due - time.monotonic()))
        os.pwrite(descriptor, bytes([i % 256]) * 4096, 4096 * (i % 64))
        began = time.monotonic()
        os.fdatasync(descriptor)
        done = time.monotonic()
        times.append((done - began) * 1000)
        lateness.append((done - due) * 1000)
    os.close(descriptor)
    return sorted(times), sorted(lateness)


def latency(build, arguments):
    results = []
    for _ in range(arguments.rounds):
        with Rig(build) as rig:
            daemon = start_listener(rig, "always")
            rate, count = 1000, 10_000
            took, late = fdatasync_milliseconds(rig.folder, count, rate)
            figures = load(rig, daemon.port, "--connections", 10, "--rate", rate, "--messages", count)
            figures["fdatasync_p99_ms"] = took[int(len(took) * 0.99)]
            figures["fdatasync_late_p99_ms"] = late[int(len(late) * 0.99)]
            results.append(figures)
    return results


def relay(build, arguments):
    rounds = {"bridge": [], "listener": []}
    for _ in range(arguments.rounds):
        for name, results in rounds.items():
            with Rig(build) as rig:
                target = target_broker(rig)
                if name == "bridge":
                    source = forwarder = rig.broker("source", bridge("out", target.port, "out") + "max_inflight_messages 0\n")
                    listen = "bench/#"
                else:
                    source = forwarder = start_listener(rig, "always", topic="bench", more=UPLINK.format(port=target.port))
                    listen = "tidegate/+/readings"
                before = forwarder.cpu_seconds()
                count = arguments.messages
                code, text = rig.load(source, target, "--count", count, "--listen", listen)
                figures = json.loads(text)
                figures["complete"] = code == 0
                figures["cpu_us"] = (forwarder.cpu_seconds() - before) / count * 1e6
                results.append(figures)
    return rounds


def show_ingest(rounds, batch=1):
    title = "one reading a message" if batch == 1 else "100 readings a message"
    print(f"\n{title:<24}{'messages/s':>12}{'readings/s':>12}{'CPU us':>8}{'RSS MiB':>9}{'p50 ms':>9}{'p99 ms':>9}{'syncs/s':>9}")
    for name, results in rounds.items():
        rate = median(results, "syncs_a_second") if "syncs_a_second" in results[0] else float("nan")
        print(f"{name:<24}{median(results, 'messages_a_second'):>12.0f}{median(results, 'readings_a_second'):>12.0f}"
              f"{median(results, 'cpu_us'):>8.2f}{median(results, 'resident_mib'):>9.1f}{median(results, 'p50_ms'):>9.1f}"
              f"{median(results, 'p99_ms'):>9.1f}{rate:>9.1f}")
    print(f"CPU a message, listener to mosquitto: {median(rounds['listener'], 'cpu_us') / median(rounds['mosquitto'], 'cpu_us'):.2f}")


def show_batched(rounds):
    show_ingest(rounds, batch=100)


def show_idle(figures):
    print(f"\n1,000 idle connections: {figures['more_mib']:.1f} MiB more")


def show_latency(results):
    print(f"\npublish to PUBACK, sync always, 1,000/s: p99 {median(results, 'p99_ms'):.2f} ms, p50 {median(results, 'p50_ms'):.2f} ms; "
          f"fdatasync of the same disk p99 {median(results, 'fdatasync_p99_ms'):.2f} ms, "
          f"{median(results, 'fdatasync_late_p99_ms'):.2f} ms from when it was due")
    for one in results:
        print(f"  p99 {one['p99_ms']:.2f} ms, fdatasync {one['fdatasync_p99_ms']:.2f} ms, "
              f"{one['fdatasync_late_p99_ms']:.2f} ms from when it was due")


def show_relay(rounds):
    print(f"\n{'sensor to second broker':<24}{'readings/s':>12}{'CPU us':>8}{'lost':>6}")
    for name, results in rounds.items():
        print(f"{name:<24}{median(results, 'rate'):>12.0f}{median(results, 'cpu_us'):>8.2f}{sum(r['lost'] for r in results):>6}")
    print(f"listener to bridge: rate {median(rounds['listener'], 'rate') / median(rounds['bridge'], 'rate'):.2f}, "
          f"CPU a reading {median(rounds['listener'], 'cpu_us') / median(rounds['bridge'], 'cpu_us'):.2f}")


PARTS = {"ingest": (ingest, show_ingest), "batched": (batched, show_batched), "idle": (idle, show_idle),
         "latency": (latency, show_latency), "relay": (relay, show_relay)}


def is_complete(result):
    if isinstance(result, dict):
        return result.get("complete", True) and all(is_complete(part) for part in result.values())
    return all(is_complete(part) for part in result) if isinstance(result, list) else True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=500_000)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    results = {}
    for name in arguments.only:
        measure, show = PARTS[name]
        results[name] = measure(arguments.build, arguments)
        show(results[name])
        sys.stdout.flush()
    output = Path(arguments.build) / "listener.json"
    output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten: {output}")
    return 0 if is_complete(results) else 1


if __name__ == "__main__":
    sys.exit(main())
