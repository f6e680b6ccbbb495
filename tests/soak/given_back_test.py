#!/usr/bin/env python3
"""Whether what an outage made large is given back behind it: what the daemon has in use of its heap, counted by heap_shim.cc, before and after.

  tests/soak/given_back_test.py BUILD_FOLDER
"""
import json
import sys
import threading
import unittest
from pathlib import Path
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench"))
from cycles import Receiver, Taker  # noqa: E402
from gateway import Metrics  # noqa: E402
from heap_counts import HeapCounts  # noqa: E402
from plant import client_of  # noqa: E402
from proxy import Proxies  # noqa: E402
from rig import Rig, wait_until  # noqa: E402

TAGS = 40
OUTAGE_READINGS = 20_000
GROWTH_MOST = 300 * 1024  # witnesses, and what the tails of the log in memory hold; buffers that stay are 1 to 2 MiB
BODY = f"""
[buffer]
size = "16MiB"
memory = "64KiB"

[[driver.simulator]]
name = "sim"
devices = 10
tags = {TAGS}
interval = "200ms"

[[uplink.http]]
name = "lines"
url = "http://127.0.0.1:{{http}}/"
format = "influx"
timeout = "5s"
retry_most = "1s"
batch = {{{{ max_delay = "100ms", max_readings = 2000 }}}}

[[uplink.mqtt]]
name = "cloud"
broker = "mqtt://127.0.0.1:{{mqtt}}"
reconnect_most = "1s"
retry_most = "1s"
batch = {{{{ max_delay = "100ms", max_readings = 2000 }}}}

[[uplink.mqtt]]
name = "node"
broker = "mqtt://127.0.0.1:{{mqtt}}"
format = "sparkplug"
sparkplug = {{{{ group = "g" }}}}
reconnect_most = "1s"
retry_most = "1s"
batch = {{{{ max_delay = "100ms", max_readings = 2000 }}}}
"""

PAYLOADS = """
[buffer]
memory = "64KiB"

[[driver.mqtt]]
name = "sensors"
broker = "mqtt://127.0.0.1:{mqtt}"
  [[driver.mqtt.subscribe]]
  topic = "plant/{{device}}/{{tag}}"
  value = "/value"
"""


class GivenBackTest(unittest.TestCase):
    build = "build/release"

    def metrics(self):
        with urlopen(f"http://127.0.0.1:{self.daemon.admin}/metrics", timeout=30) as reply:
            return Metrics(reply.read().decode())

    def wait_for_more(self, count):
        def least():
            metrics = self.metrics()
            return min(metrics.sum("tidegate_readings_delivered_total", f'uplink="{name}"') for name in ("lines", "cloud", "node"))
        before = least()
        wait_until(lambda: least() > before + count, "readings are delivered", 120)

    def test_what_an_outage_made_large_is_given_back(self):
        with Rig(self.build) as rig:
            server = Receiver(("127.0.0.1", 0), Taker)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            proxies = Proxies()
            places = {"http": proxies.add("http", server.server_port).port, "mqtt": proxies.add("mqtt", rig.broker("hub").port).port}
            self.counts = HeapCounts(self.build, rig.folder)
            self.daemon = rig.daemon(BODY.format(**places), self.counts.environment)
            self.wait_for_more(20 * 10 * TAGS)  # what is kept of the newest is full
            before, _ = self.counts.least()
            for proxy in proxies.by_name.values():
                proxy.vanish(True)
            wait_until(lambda: self.metrics().sum("tidegate_uplink_backlog_readings") > 3 * OUTAGE_READINGS, "the outage has lasted", 120)
            for proxy in proxies.by_name.values():
                proxy.vanish(False)
            wait_until(lambda: self.metrics().sum("tidegate_uplink_backlog_readings") < 5000, "the backlog is gone", 120)
            after = []

            def is_given_back():
                after.append(self.counts.least()[0])
                return after[-1] < before + GROWTH_MOST
            wait_until(is_given_back, f"of {before} bytes in use before the outage there are no more than these", 60, lambda: str(after))

    def publish(self, count, size):
        """Payloads of so many bytes each; returns when all are taken."""
        before = self.metrics().sum("tidegate_readings_accepted_total")
        payload = json.dumps({"value": 1, "rest": ["x" * 10] * (size // 14)})
        for _ in range(count):
            self.client.publish("plant/device/tag", payload, qos=1)
        wait_until(lambda: self.metrics().sum("tidegate_readings_accepted_total") >= before + count, "payloads are taken")

    def test_what_large_payloads_took_is_given_back(self):
        with Rig(self.build) as rig:
            broker = rig.broker("broker").port
            self.counts = HeapCounts(self.build, rig.folder)
            self.daemon = rig.daemon(PAYLOADS.format(mqtt=broker), self.counts.environment)
            self.client = client_of("large", broker)
            self.client.loop_start()
            self.publish(100, 100)
            before, _ = self.counts.least()
            for large, behind in ((60_000, 40), (200_000, 2)):  # by what its newest needed; at once
                self.publish(3, large)
                self.publish(behind, 100)
                after, _ = self.counts.least()
                self.assertLess(after, before + GROWTH_MOST, f"{large} bytes")
            self.client.disconnect()
            self.client.loop_stop()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        GivenBackTest.build = sys.argv.pop(1)
    unittest.main()
