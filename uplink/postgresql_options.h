#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "mqtt/broker_options.h"
#include "uplink/options.h"

namespace tidegate::uplink {

/// One `[[uplink.postgresql]]`.
struct PostgresqlUplinkOptions {
  ForwarderOptions forwarder;
  std::string host;  // or the directory of a Unix socket, which begins with '/'
  std::uint16_t port = 5432;
  std::string database;
  std::string username;
  std::string password;
  std::string table = "tidegate_{stream}";
  std::string cursor_table = "tidegate_cursors";
  bool create_tables = true;
  bool is_plain = false;                // said so by the key `encryption`
  std::optional<mqtt::TlsOptions> tls;  // nothing: unencrypted, for whatever reason
  Duration connect_timeout = std::chrono::seconds(10);
  Duration timeout = std::chrono::seconds(60);  // of a transaction as a whole
  bool operator==(const PostgresqlUplinkOptions&) const = default;
};

}  // namespace tidegate::uplink
