#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tidegate::daemon {

/// What a command returns to the shell.
enum ExitCode : int { kExitDone = 0, kExitFailed = 1, kExitUsage = 64, kExitConfiguration = 78 };

/// Where to find the running daemon: `admin` if given, else the `admin` of the configuration file.
struct DaemonLocation {
  std::string admin;
  std::string config_file;
  std::string token_file;  // empty: what TIDEGATE_TOKEN says
  std::string ca_file;     // empty: see find_daemon()
};

struct TopOptions {
  DaemonLocation daemon;
  double interval_seconds = 1;
  std::uint64_t count = 0;  // screens; 0: until it is ended
};

struct TailOptions {
  DaemonLocation daemon;
  std::string data_dir;  // not empty: read the files instead of asking the daemon
  std::string stream = "readings";
  std::string from;
  std::string to;  // with data_dir
  std::string tag;
  std::uint64_t last = 0;  // of what is there only so many; 0: all from `from` on
  bool follow = false;
};

struct ReplayOptions {
  DaemonLocation daemon;
  std::string uplink;
  std::string from;
  std::string stream = "readings";
  /// Whether what the uplink has not delivered yet and lies before `from` may be left out. Without a word on it a
  /// terminal is asked, and where there is none it is done.
  std::optional<bool> skip;
};

struct DeadLetterOptions {
  DaemonLocation daemon;
  std::string uplink;
  bool json = false;
  std::vector<std::uint64_t> ids;
  bool all = false;
  std::string stream = "readings";
  std::string at;
};

enum class AlarmAction : std::uint8_t { acknowledge, shelve, unshelve };
/// As the admin address calls it.
const char* to_string(AlarmAction action);

struct AlarmsOptions {
  DaemonLocation daemon;
  bool json = false;
  AlarmAction action = AlarmAction::acknowledge;
  std::vector<std::string> alarms;
  std::string by;  // empty: the user
  std::string note;
  std::string shelve_for;
};

struct SimulateModbusOptions {
  std::string listen = "127.0.0.1:0";
  std::string serial;  // a serial device instead of TCP
  std::string units = "1";
  std::uint32_t registers = 1000;
};

struct TestRulesOptions {
  std::string config_file;
  std::string data_dir;  // empty: that of the configuration
  std::string from;
  std::string to;
};

/// A device that is asked straight, without the daemon.
struct ModbusTarget {
  std::string url;
  std::uint16_t unit = 1;
  std::string address = "holding:0";
  std::string timeout = "500ms";
  bool json = false;
};

struct ModbusReadOptions {
  ModbusTarget target;
  std::string type = "uint16";
  std::string order = "ABCD";
  std::uint32_t count = 1;  // values
};

struct ModbusScanOptions {
  ModbusTarget target;
  std::string units = "1-247";
};

/// {"ts","value"}; the value alone; "ts,value"; all tags of a device in one object; ten of the first in an array.
enum class PayloadShape : std::uint8_t { json, number, csv, flat, array };

struct SimulateMqttOptions {
  std::string broker = "mqtt://127.0.0.1:1883";
  double wait_seconds = 10;  // for the first connection
  std::string username;
  std::string password_file;
  std::string ca_file;  // of mqtts://
  std::string topic = "plant/{device}/{tag}";
  std::uint32_t devices = 4;
  std::uint32_t tags = 2;
  double rate = 10;         // messages a second over all
  std::uint64_t count = 0;  // 0: until stopped
  PayloadShape payload = PayloadShape::json;
  double faults = 0;  // share of the messages that something is wrong with
};

int run_gateway(const std::string& config_file, const std::string& log_level);
int check_config(const std::string& config_file);
/// Prints what a reload of the running daemon would change; fails when a restart is needed for some of it.
int check_against_running(const DaemonLocation& location);
/// Has the daemon read its configuration again, and prints what came of it.
int reload_daemon(const DaemonLocation& location);
int print_config_reference();
int show_status(const DaemonLocation& location, bool json);
/// Shows the state again and again, on a terminal on a page of its own until `q` or a signal ends it.
int show_top(const TopOptions& options);
int tail_records(const TailOptions& options);
int list_log(const std::string& data_dir);
/// The records of one stream, of all when `stream` is empty, between two places; empty: from the oldest, to the end.
int cat_log(const std::string& data_dir, const std::string& stream, const std::string& from, const std::string& to);
int verify_log(const std::string& data_dir);
int replay_uplink(const ReplayOptions& options);
/// Prints which alarms the configured rules would have raised and cleared over stored readings; changes nothing.
int test_rules(const TestRulesOptions& options);
int read_modbus(const ModbusReadOptions& options);
/// Prints the units that answer, be it by an exception.
int scan_modbus(const ModbusScanOptions& options);
/// Prints what is at the address under all types and orders.
int probe_modbus(const ModbusTarget& target);
int list_alarms(const AlarmsOptions& options);
int change_alarms(const AlarmsOptions& options);
int list_dead_letters(const DeadLetterOptions& options);
int drop_dead_letters(const DeadLetterOptions& options);
int retry_dead_letters(const DeadLetterOptions& options);
int put_dead_letter(const DeadLetterOptions& options);
int simulate_modbus(const SimulateModbusOptions& options);
int simulate_mqtt(const SimulateMqttOptions& options);

/// Says on standard error what went wrong; returns kExitFailed.
int report_failure(const std::string& message);

}  // namespace tidegate::daemon
