#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/time.h"
#include "drivers/mqtt/options.h"
#include "drivers/mqtt_listener/publish_rights.h"
#include "mqtt/tls_server.h"

namespace tidegate::drivers {

/// What one client may use. Texts of a client that go beyond end its connection, with the code that MQTT has for it.
struct ListenerLimits {
  std::uint32_t packet_bytes_max = 1024 * 1024;
  std::uint32_t topic_bytes_max = 1024;
  std::uint32_t client_id_bytes_max = 256;
  std::uint16_t inflight_max = 1000;          // messages of a client that wait for their acknowledgement
  std::uint32_t messages_per_second_max = 0;  // of a connection; 0: no limit. Who sends more is read from later.
  std::uint16_t topic_aliases_max = 64;
  std::uint32_t connections_max = 1024;
  Duration connect_timeout = std::chrono::seconds(10);  // for the CONNECT of a new connection
  bool operator==(const ListenerLimits&) const = default;
};

/// One `[[driver.mqtt_listener]]`.
struct MqttListenerOptions {
  std::string name;
  std::string host;  // an address
  std::uint16_t port = 1883;
  MessageAck ack = MessageAck::durable;
  std::string users;  // content of the password file; empty: everybody may connect
  std::vector<PublishRight> rights;
  std::vector<PublishRight> watch;  // what users may subscribe to
  mqtt::ServerTls tls;
  ListenerLimits limits;
  std::vector<MqttSubscribeOptions> subscribe;
  std::uint32_t automatic_tags_max = 10000;
  bool operator==(const MqttListenerOptions&) const = default;
};

}  // namespace tidegate::drivers
