// Publishes {"v":0}, {"v":1} ... to plant/ID/count by MQTT.js:
// node mqtt_js_publisher.js PORT VERSION(4|5) QOS COUNT ID [CA_FILE]. Exits with 0 when all are acknowledged.
// TIDEGATE_NODE_MODULES is the folder that MQTT.js is in.
const fs = require('fs');
const path = require('path');
const mqtt = require(path.join(process.env.TIDEGATE_NODE_MODULES, 'mqtt'));

const [port, version, qos, count, clientId, caFile] = process.argv.slice(2);

const client = mqtt.connect({
  host: '127.0.0.1',
  port: Number(port),
  protocol: caFile ? 'mqtts' : 'mqtt',
  ca: caFile ? fs.readFileSync(caFile) : undefined,
  protocolVersion: Number(version),
  clientId,
  clean: false,
  properties: version === '5' ? { sessionExpiryInterval: 60 } : undefined,
  reconnectPeriod: 0,
});
let open = Number(count);
client.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
client.on('connect', () => {
  for (let i = 0; i < Number(count); ++i) {
    client.publish(`plant/${clientId}/count`, `{"v":${i}}`, { qos: Number(qos) }, (error) => {
      if (error) {
        console.error(error);
        process.exit(1);
      }
      if (--open === 0) client.end(false, () => process.exit(0));
    });
  }
});
setTimeout(() => process.exit(2), 20000);
