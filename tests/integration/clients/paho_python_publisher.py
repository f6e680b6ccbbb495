"""Publishes {"v":0}, {"v":1} ... to plant/ID/count by Eclipse Paho's Python client (python3-paho-mqtt):
paho_python_publisher.py PORT VERSION(4|5) QOS COUNT ID [CA_FILE]. Exits with 0 when all are acknowledged."""
import sys

from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


def make_client(version, client_id, ca_file):
    options = {} if version == mqtt.MQTTv5 else {"clean_session": False}
    client = mqtt.Client(client_id, protocol=version, **options)
    if ca_file:
        client.tls_set(ca_file)
    return client


def connect(client, port, version):
    if version != mqtt.MQTTv5:
        return client.connect("127.0.0.1", port)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 60
    return client.connect("127.0.0.1", port, clean_start=False, properties=properties)


def main(port, version, qos, count, client_id, ca_file=None):
    client = make_client(int(version), client_id, ca_file)
    connect(client, int(port), int(version))
    client.loop_start()
    messages = [client.publish(f"plant/{client_id}/count", f'{{"v":{i}}}', int(qos)) for i in range(int(count))]
    for message in messages:
        message.wait_for_publish(20)
    done = all(message.is_published() for message in messages)
    client.disconnect()
    client.loop_stop()
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
