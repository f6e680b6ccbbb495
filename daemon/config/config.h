#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "buffer/options.h"
#include "core/time.h"
#include "drivers/modbus/options.h"
#include "drivers/mqtt/options.h"
#include "drivers/mqtt_listener/options.h"
#include "drivers/simulator/simulator_driver.h"
#include "mqtt/tls_server.h"
#include "rules/options.h"
#include "uplink/http_options.h"
#include "uplink/options.h"
#include "uplink/postgresql_options.h"

namespace tidegate::daemon {

/// Where status page, metrics and API are served.
struct AdminAddress {
  enum class Kind : std::uint8_t { off, tcp, unix_socket };
  Kind kind = Kind::off;
  std::string host;  // tcp: "127.0.0.1", "::1", "localhost"
  std::uint16_t port = 0;
  std::string path;  // unix_socket

  bool operator==(const AdminAddress&) const = default;
};

/// `[gateway]`. The directories may be relative to the working directory.
struct GatewayOptions {
  std::string id;
  std::string data_dir;
  std::string runtime_dir;
  AdminAddress admin;
  std::string admin_token;  // empty: whoever reaches the address is let in
  mqtt::ServerTls admin_tls;

  bool operator==(const GatewayOptions&) const = default;
};

/// When a driver that has no `ack` of its own acknowledges to its source.
enum class AckPolicy : std::uint8_t { durable, written };

/// `[buffer]`.
struct BufferOptions {
  buffer::RingLogOptions ring;  // directory is "<data_dir>/log"
  AckPolicy ack = AckPolicy::durable;

  bool operator==(const BufferOptions&) const = default;
};

enum class ProblemKind : std::uint8_t { error, warning };

/// One thing that is wrong, or odd, in a configuration file.
struct Problem {
  std::string file;
  std::uint32_t line = 1;
  std::uint32_t column = 1;
  std::string key;      // "driver.modbus[0].device[1].tags[3].address"; empty: the file as a whole
  std::string message;  // what was found and what is allowed
  ProblemKind kind = ProblemKind::error;
};

/// What one section of the files says, for people: where it stands, and what its keys are set to. See settings_text.h.
struct SectionSettings {
  std::string section;  // "gateway", "driver.modbus"
  std::string name;     // of a driver, a rule or an uplink
  std::string file;
  std::uint32_t line = 1;
  std::string keys;  // packed, without secrets
};

/// A key that has another value.
struct KeyChange {
  std::string key;  // "device.boiler.interval"
  std::string before;
  std::string after;
  bool operator==(const KeyChange&) const = default;
};

/// A complete configuration, checked: every value is in its range and fits the others; secrets are read.
struct Config {
  std::string file;  // the main one, by its whole path
  GatewayOptions gateway;
  BufferOptions buffer;
  std::vector<drivers::MqttDriverOptions> mqtt_drivers;
  std::vector<drivers::MqttListenerOptions> mqtt_listeners;
  std::vector<drivers::ModbusBusOptions> modbus_buses;
  std::vector<drivers::SimulatorOptions> simulators;
  std::vector<rules::RuleOptions> rules;
  std::vector<uplink::MqttUplinkOptions> mqtt_uplinks;
  std::vector<uplink::HttpUplinkOptions> http_uplinks;
  std::vector<uplink::KafkaUplinkOptions> kafka_uplinks;
  std::vector<uplink::PostgresqlUplinkOptions> postgresql_uplinks;
  std::vector<uplink::FileUplinkOptions> file_uplinks;
  std::vector<Problem> warnings;
  std::vector<SectionSettings> sections;
};

/// Reads the file and what it includes. Fails with all problems at once, warnings among them, in the order of the
/// files and lines. Reads the environment (RUNTIME_DIRECTORY, CREDENTIALS_DIRECTORY, `env` secrets) and the host name;
/// opens nothing but configuration, secret and certificate files, and changes nothing.
tl::expected<Config, std::vector<Problem>> load_config(const std::string& path);

/// The same for a process that runs with `running`: [gateway] and [buffer] are as there, whatever the file says,
/// because they stay so until a restart. Fails where the rest does not go together with them.
tl::expected<Config, std::vector<Problem>> load_config_beside(const std::string& path, const Config& running);

/// Reads only `[gateway]` of the file, for commands that speak to the daemon and may not read its secrets: these are
/// left out, and of the certificate there is the path alone.
tl::expected<GatewayOptions, std::vector<Problem>> load_gateway_options(const std::string& path);

/// "FILE:LINE:COL: error: KEY: MESSAGE".
std::string format_problem(const Problem& problem);

/// The text of docs/configuration.md, from the table that load_config works by.
std::string configuration_reference();

}  // namespace tidegate::daemon
