#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/time.h"
#include "mqtt/protocol_version.h"

namespace tidegate::mqtt {

struct TlsOptions {
  std::string ca_file;    // empty: the system's trust store
  std::string cert_file;  // with key_file: our own certificate
  std::string key_file;
  bool verify = true;  // off only by the key `insecure_skip_verification_i_know_what_i_do`
  bool operator==(const TlsOptions&) const = default;
};

/// How to reach and log in to one broker.
struct BrokerOptions {
  std::string uri;  // "mqtt://host:1883" or "mqtts://host:8883"
  ProtocolVersion protocol = ProtocolVersion::v3_1_1;
  std::string client_id;
  std::string username;
  std::string password;
  TlsOptions tls;
  Duration keep_alive = std::chrono::seconds(20);
  Duration connect_timeout = std::chrono::seconds(10);
  Duration reconnect_first = std::chrono::seconds(1);
  Duration reconnect_most = std::chrono::seconds(60);
  /// With a publish the oldest for so long, and for the time that its size takes on a slow line, the connection is made
  /// anew.
  Duration acknowledgement_max = std::chrono::seconds(60);
  /// A packet of the broker over this, and over 64 KiB, is let pass by.
  std::size_t packet_bytes_max = std::size_t{1024} * 1024;
  bool clean_session = false;  // the broker keeps nothing over the end of a connection
  bool operator==(const BrokerOptions&) const = default;
};

}  // namespace tidegate::mqtt
