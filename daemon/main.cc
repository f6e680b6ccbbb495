#include <CLI/CLI.hpp>
#include <exception>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/parse_whole.h"
#include "core/standard_descriptors.h"
#include "core/text.h"
#include "daemon/commands/commands.h"
#include "daemon/dead_letter_id.h"

namespace {

using namespace tidegate::daemon;

constexpr const char* kPlaces =
    "EPOCH:SEQUENCE, SEQUENCE, oldest, end, a time such as 2026-11-27T08:00:00Z, or so long ago, such as -2h";
constexpr double kLastMost = 1e6;  // which are in memory at a time
constexpr const char* kDefaultConfig = "/etc/tidegate/tidegate.toml";

// Each add_* declares one command; `chosen` gets what to do once the line is parsed.
using Chosen = std::function<int()>;

void append_limit(std::string& out, double limit) {
  const auto whole = static_cast<std::int64_t>(limit);
  if (static_cast<double>(whole) == limit) return tidegate::append_number(out, whole);
  tidegate::append_number(out, limit);
}

// As the commands themselves say it: `--rate "0": allowed is a number from 0.01 to 1000000`.
CLI::Validator in_range(double least, double most) {
  std::string wanted = "a number from ";
  append_limit(wanted, least);
  append_limit(wanted += " to ", most);
  return {[least, most, wanted](std::string& text) {
            double number = 0;
            const bool is_right = CLI::detail::lexical_cast(text, number) && number >= least && number <= most;
            return is_right ? std::string() : "\"" + text + "\": allowed is " + wanted;
          },
          ""};
}

CLI::Validator shape_by_name() {
  return {[](std::string& text) -> std::string {
            static const std::map<std::string, PayloadShape> shapes{{"json", PayloadShape::json},
                                                                    {"number", PayloadShape::number},
                                                                    {"csv", PayloadShape::csv},
                                                                    {"flat", PayloadShape::flat},
                                                                    {"array", PayloadShape::array}};
            const auto found = shapes.find(text);
            if (found == shapes.end()) return "\"" + text + "\": allowed are json, number, csv, flat, array";
            text = std::to_string(static_cast<int>(found->second));
            return "";
          },
          ""};
}

// The library only says that a command is missing. Empty where it was no command that is not known.
std::string describe_unknown_command(const CLI::App* app) {
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  const auto words = app->remaining();
  const bool is_command = !words.empty() && !words.front().starts_with('-');
  std::vector<std::string_view> known;
  std::string list;
  for (const CLI::App* const command :
       app->get_subcommands([](const CLI::App* one) { return !one->get_group().empty(); })) {
    known.emplace_back(command->get_name());
    list += (list.empty() ? "" : ", ") + command->get_name();
  }
  if (!is_command || known.empty()) return "";
  const std::string near = tidegate::nearest_word(words.front(), known);
  return "unknown command \"" + tidegate::clip(words.front()) +
         "\": " + (near.empty() ? "there are " + list : "did you mean " + near + "?");
}

std::string describe_wrong_usage(const CLI::App* app, const CLI::Error& error) {
  std::string text = describe_unknown_command(app);
  if (text.empty()) text = error.what();
  if (const std::size_t colon = text.find(": \""); colon != std::string::npos) text.erase(colon, 1);
  return "tidegate: " + text + "\nRun with --help for more information.\n";
}

void add_credentials(CLI::App& command, DaemonLocation& location) {
  command.add_option("--token-file", location.token_file,
                     "whose first line is the daemon's token; default: what TIDEGATE_TOKEN says");
  command.add_option("--admin-ca", location.ca_file,
                     "authorities of the daemon's certificate, PEM; default: the certificate of --config, and with "
                     "--admin the system's authorities");
}

void add_location(CLI::App& command, DaemonLocation& location) {
  command.add_option("--admin", location.admin, "the daemon's admin address");
  command.add_option("--config", location.config_file, "the file to take it from")->default_val(kDefaultConfig);
  add_credentials(command, location);
}

void add_run(CLI::App& app, Chosen& chosen) {
  static std::string config;
  static std::string level;
  auto* command = app.add_subcommand("run", "Run the daemon");
  command->add_option("--config", config, "configuration file")->default_val(kDefaultConfig);
  command->add_option("--log-level", level, "debug, info, warning or error")->default_val("info");
  command->callback([&chosen] { chosen = [] { return run_gateway(config, level); }; });
}

void add_check(CLI::App& app, Chosen& chosen) {
  static DaemonLocation location;
  static bool against_running = false;
  auto* command = app.add_subcommand("check", "Check a configuration; reports all errors at once");
  command->add_option("--config", location.config_file, "configuration file")->default_val(kDefaultConfig);
  auto* const flag = command->add_flag("--against-running", against_running,
                                       "print what a reload of the running daemon would change; exit 1 when it needs "
                                       "a restart for some of it");
  command->add_option("--admin", location.admin, "with it: the daemon's admin address; default: that of the file")
      ->needs(flag);
  add_credentials(*command, location);
  for (const char* const name : {"--token-file", "--admin-ca"}) command->get_option(name)->needs(flag);
  command->callback([&chosen] {
    chosen = [] { return against_running ? check_against_running(location) : check_config(location.config_file); };
  });
  auto* reference = app.add_subcommand("config-reference", "Print the reference of all settings");
  reference->group("");  // for the build of the documentation, not for users
  reference->callback([&chosen] { chosen = print_config_reference; });
}

void add_reload(CLI::App& app, Chosen& chosen) {
  static DaemonLocation location;
  auto* command = app.add_subcommand("reload", "Have the daemon read its configuration again; waits for the outcome");
  add_location(*command, location);
  command->callback([&chosen] { chosen = [] { return reload_daemon(location); }; });
}

void add_status(CLI::App& app, Chosen& chosen) {
  static DaemonLocation location;
  static bool json = false;
  auto* command = app.add_subcommand("status", "Show the state of the running daemon");
  add_location(*command, location);
  command->add_flag("--json", json, "as JSON");
  command->callback([&chosen] { chosen = [] { return show_status(location, json); }; });
}

void add_top(CLI::App& app, Chosen& chosen) {
  static TopOptions options;
  auto* command = app.add_subcommand("top", "Show the state of the running daemon again and again; q ends it");
  add_location(*command, options.daemon);
  command->add_option("--interval", options.interval_seconds, "seconds from one to the next")
      ->check(in_range(0.2, 3600))
      ->capture_default_str();
  command->add_option("--count", options.count, "end after so many; 0 never")->capture_default_str();
  command->callback([&chosen] { chosen = [] { return show_top(options); }; });
}

void add_tail(CLI::App& app, Chosen& chosen) {
  static TailOptions options;
  auto* command = app.add_subcommand("tail", "Print records as JSON lines");
  add_location(*command, options.daemon);
  command->add_option("--stream", options.stream, "readings, alarms or events")->capture_default_str();
  auto* const from = command->add_option("--from", options.from, kPlaces);
  command->add_option("--last", options.last, "only so many, the newest")
      ->check(in_range(1, kLastMost))
      ->excludes(from);
  command->add_option("--tag", options.tag, "only tags that this glob matches");
  command->add_flag("--follow", options.follow, "go on with new records; without --from and --last only new ones");
  command->add_option("--data-dir", options.data_dir, "read the files there instead of asking the daemon");
  command->callback([&chosen] { chosen = [] { return tail_records(options); }; });
}

void add_log(CLI::App& app, Chosen& chosen) {
  static std::string data_dir;
  static std::string stream;
  static std::string from;
  static std::string to;
  auto* log = app.add_subcommand("log", "Look at a ring log's files; changes nothing");
  log->require_subcommand(1);
  auto* ls = log->add_subcommand("ls", "List the segments");
  auto* cat = log->add_subcommand("cat", "Print the records as JSON lines");
  auto* verify = log->add_subcommand("verify", "Check everything; exit 1 when something is damaged");
  for (auto* command : {ls, cat, verify}) {
    command->add_option("--data-dir", data_dir, "the data directory")->required();
  }
  cat->add_option("--stream", stream, "readings, alarms or events; default: all");
  cat->add_option("--from", from, kPlaces);
  cat->add_option("--to", to, "up to there, that record not included");
  ls->callback([&chosen] { chosen = [] { return list_log(data_dir); }; });
  cat->callback([&chosen] { chosen = [] { return cat_log(data_dir, stream, from, to); }; });
  verify->callback([&chosen] { chosen = [] { return verify_log(data_dir); }; });
}

void add_replay(CLI::App& app, Chosen& chosen) {
  static ReplayOptions options;
  auto* command = app.add_subcommand("replay", "Move the cursor of an uplink: give records again, or skip some");
  add_location(*command, options.daemon);
  command->add_option("--uplink", options.uplink, "its name")->required();
  command->add_option("--from", options.from, kPlaces)->required();
  command->add_option("--stream", options.stream, "readings, alarms or events")->capture_default_str();
  static bool skip = false;
  static bool no_skip = false;
  auto* const allow = command->add_flag("--skip", skip, "skip what the uplink has not sent yet, unasked");
  command->add_flag("--no-skip", no_skip, "skip nothing of it; without either a terminal is asked, and a script is not")
      ->excludes(allow);
  command->callback([&chosen] {
    if (skip || no_skip) options.skip = skip;
    chosen = [] { return replay_uplink(options); };
  });
}

void add_rules(CLI::App& app, Chosen& chosen) {
  static TestRulesOptions options;
  auto* rules = app.add_subcommand("rules", "Try rules out");
  rules->require_subcommand(1);
  auto* command = rules->add_subcommand(
      "test", "Say which alarms the rules would have raised over stored readings; a delay ends with a reading");
  command->add_option("--config", options.config_file, "configuration file with the rules")
      ->default_val(kDefaultConfig);
  command->add_option("--data-dir", options.data_dir, "where the readings are; default: gateway.data_dir of the file");
  command->add_option("--from", options.from, kPlaces);
  command->add_option("--to", options.to, "up to there, that record not included");
  command->callback([&chosen] { chosen = [] { return test_rules(options); }; });
}

void add_modbus_target(CLI::App& command, ModbusTarget& target) {
  command.add_option("URL", target.url, "tcp://HOST:PORT or rtu:///dev/ttyUSB0?baud=19200&parity=even&stop=1")
      ->required();
  command
      .add_option("--address", target.address,
                  "holding:100, input:8, coil:3, discrete:0, or a reference number such as 40011")
      ->capture_default_str();
  command.add_option("--timeout", target.timeout, "how long to wait for an answer")->capture_default_str();
}

void add_modbus(CLI::App& app, Chosen& chosen) {
  static ModbusReadOptions read;
  static ModbusScanOptions scan;
  static ModbusTarget probe;
  auto* modbus =
      app.add_subcommand("modbus", "Ask Modbus devices straight; on a serial line not while the daemon polls it");
  modbus->require_subcommand(1);
  auto* on_read = modbus->add_subcommand("read", "Read values");
  auto* on_scan = modbus->add_subcommand("scan", "Find the units that answer");
  auto* on_probe = modbus->add_subcommand("probe", "Show what is at an address under all types and byte orders");
  add_modbus_target(*on_read, read.target);
  add_modbus_target(*on_scan, scan.target);
  add_modbus_target(*on_probe, probe);
  for (const auto& [command, target] : {std::pair{on_read, &read.target}, std::pair{on_probe, &probe}}) {
    command->add_option("--unit", target->unit, "unit id")->capture_default_str();
    command->add_flag("--json", target->json, "a JSON object a line");
  }
  on_read->add_option("--type", read.type, "as in the configuration: uint16, float32, string(8) ...")
      ->capture_default_str();
  on_read->add_option("--order", read.order, "ABCD, CDAB, BADC or DCBA")->capture_default_str();
  on_read->add_option("--count", read.count, "how many values, one behind the other")->capture_default_str();
  on_scan->add_option("--units", scan.units, "which, such as 1,2,5-9")->capture_default_str();
  on_read->callback([&chosen] { chosen = [] { return read_modbus(read); }; });
  on_scan->callback([&chosen] { chosen = [] { return scan_modbus(scan); }; });
  on_probe->callback([&chosen] { chosen = [] { return probe_modbus(probe); }; });
}

// What is no number of that size CLI11 would make another one of.
CLI::Validator dead_letter_id() {
  return {[](std::string& text) {
            const auto id = tidegate::parse_whole<std::uint64_t>(text);
            const bool is_right = id && is_dead_letter_id(*id);
            return is_right ? std::string() : "\"" + text + "\": allowed is an id, a whole number from 1, as ls shows";
          },
          ""};
}

void add_deadletter(CLI::App& app, Chosen& chosen) {
  static DeadLetterOptions options;
  auto* command = app.add_subcommand("deadletter", "Records that the target of an uplink refuses for good");
  command->require_subcommand(1);
  auto* ls = command->add_subcommand("ls", "List them");
  auto* drop = command->add_subcommand("drop", "Remove some; they are not to be had any more then");
  auto* retry = command->add_subcommand("retry", "Send some again; what the target takes is removed");
  auto* put = command->add_subcommand("put", "Keep the record that an uplink's status says is refused as one at once");
  for (auto* each : {ls, drop, retry, put}) add_location(*each, options.daemon);
  ls->add_option("--uplink", options.uplink, "only of this one");
  ls->add_flag("--json", options.json, "as JSON lines");
  for (auto* each : {drop, retry}) {
    each->add_option("--uplink", options.uplink, "its name")->required();
    auto* which = each->add_option_group("which")->require_option(1);
    which->add_option("--id", options.ids, "those with these ids, as ls shows them")->check(dead_letter_id());
    which->add_flag("--all", options.all, "all of the uplink");
  }
  ls->callback([&chosen] { chosen = [] { return list_dead_letters(options); }; });
  drop->callback([&chosen] { chosen = [] { return drop_dead_letters(options); }; });
  retry->callback([&chosen] { chosen = [] { return retry_dead_letters(options); }; });
  put->add_option("--uplink", options.uplink, "its name")->required();
  put->add_option("--stream", options.stream, "of the record")->check(CLI::IsMember({"readings", "alarms", "events"}));
  put->add_option("--at", options.at, "which one, EPOCH:SEQUENCE as the status has it")->required();
  put->callback([&chosen] { chosen = [] { return put_dead_letter(options); }; });
}

void add_alarms(CLI::App& app, Chosen& chosen) {
  static AlarmsOptions options;
  auto* command = app.add_subcommand("alarms", "The alarms that are raised, and what is done about them");
  command->require_subcommand(0, 1);
  auto* ls = command->add_subcommand("ls", "List them (without a subcommand, too)");
  auto* ack = command->add_subcommand(
      "ack", "Acknowledge: somebody has seen it. A latched alarm clears then, when its cause is over");
  auto* shelve = command->add_subcommand("shelve", "Set aside for a while; it is recorded as ever");
  auto* unshelve = command->add_subcommand("unshelve", "Take back before its time");
  for (auto* each : {command, ls, ack, shelve, unshelve}) add_location(*each, options.daemon);
  for (auto* each : {command, ls}) each->add_flag("--json", options.json, "as JSON lines");
  for (auto* each : {ack, shelve, unshelve}) {
    each->add_option("ALARM", options.alarms, "ids, RULE/TAG, as ls shows them")->required();
    each->add_option("--by", options.by, "who does it; default: the user");
    each->add_option("--note", options.note, "what there is to say of it");
  }
  shelve->add_option("--for", options.shelve_for, "how long, such as 90m or 8h, at most 30d")->required();
  command->callback([&chosen, command] {
    if (command->get_subcommands().empty()) chosen = [] { return list_alarms(options); };
  });
  ls->callback([&chosen] { chosen = [] { return list_alarms(options); }; });
  const auto acts = [&chosen](CLI::App* of, AlarmAction action) {
    of->callback([&chosen, action] {
      options.action = action;
      chosen = [] { return change_alarms(options); };
    });
  };
  acts(ack, AlarmAction::acknowledge);
  acts(shelve, AlarmAction::shelve);
  acts(unshelve, AlarmAction::unshelve);
}

void add_simulate(CLI::App& app, Chosen& chosen) {
  static SimulateModbusOptions modbus;
  static SimulateMqttOptions mqtt;
  auto* simulate = app.add_subcommand("simulate", "Simulated devices");
  simulate->require_subcommand(1);
  auto* on_modbus = simulate->add_subcommand("modbus", "Modbus devices with moving values");
  on_modbus->add_option("--listen", modbus.listen, "HOST:PORT; port 0 is any free one")->capture_default_str();
  on_modbus->add_option("--serial", modbus.serial, "a serial device (RTU) instead of TCP");
  on_modbus->add_option("--units", modbus.units, "unit ids that answer, such as 1,2,5")->capture_default_str();
  on_modbus->add_option("--registers", modbus.registers, "registers and bits of each table")
      ->check(in_range(1, 65536))
      ->capture_default_str();
  on_modbus->callback([&chosen] { chosen = [] { return simulate_modbus(modbus); }; });
  auto* on_mqtt = simulate->add_subcommand("mqtt", "Sensors that publish to a broker");
  on_mqtt->add_option("--broker", mqtt.broker, "mqtt://HOST[:PORT] or mqtts://HOST[:PORT]")->capture_default_str();
  on_mqtt
      ->add_option("--wait", mqtt.wait_seconds,
                   "seconds to try for the first connection; later ones are tried for ever")
      ->check(in_range(0.1, 86400))
      ->capture_default_str();
  auto* const username = on_mqtt->add_option("--username", mqtt.username, "login");
  on_mqtt->add_option("--password-file", mqtt.password_file, "whose first line is the password")
      ->check(CLI::ExistingFile)
      ->needs(username);
  on_mqtt->add_option("--ca", mqtt.ca_file, "authorities of an mqtts:// broker, PEM; the system's without it")
      ->check(CLI::ExistingFile);
  on_mqtt->add_option("--topic", mqtt.topic, "with {device} and {tag}; of --payload flat {tag} is always value-1")
      ->capture_default_str();
  on_mqtt->add_option("--devices", mqtt.devices, "number of devices")->check(in_range(1, 10000))->capture_default_str();
  on_mqtt->add_option("--tags", mqtt.tags, "tags a device")->check(in_range(1, 1000))->capture_default_str();
  on_mqtt->add_option("--rate", mqtt.rate, "messages a second in all")
      ->check(in_range(0.01, 1e6))
      ->capture_default_str();
  on_mqtt->add_option("--count", mqtt.count, "end after so many messages; 0 never")->capture_default_str();
  on_mqtt
      ->add_option(
          "--payload", mqtt.payload,
          "json: {\"ts\",\"value\"}; number; csv: ts,value; flat: all tags of a device in one object; array: ten "
          "of json in \"readings\"")
      ->transform(shape_by_name())
      ->type_name("SHAPE")
      ->default_str("json");
  on_mqtt
      ->add_option(
          "--faults", mqtt.faults,
          "share of the messages that are cut, empty, no number, too large a number, of the year 3000, or have a "
          "key twice, as far as the payload's shape can")
      ->check(in_range(0, 1))
      ->capture_default_str();
  on_mqtt->callback([&chosen] { chosen = [] { return simulate_mqtt(mqtt); }; });
}

// What no part foresaw ends with a sentence and not with a core dump; output that could not be written is no success.
int run_chosen(const Chosen& chosen) {
  int code = kExitFailed;
  try {
    code = chosen();
  } catch (const std::exception& error) {
    return report_failure(std::string("cannot go on: ") + error.what());
  }
  std::cout.flush();
  if (code == kExitDone && !std::cout) return report_failure("standard output cannot be written");
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  tidegate::fill_standard_descriptors();
  CLI::App app("Tidegate: takes sensor readings in, keeps them safe, forwards them when the link allows", "tidegate");
  app.set_version_flag("--version", std::string("tidegate ") + TIDEGATE_VERSION);
  app.require_subcommand(1);
  app.failure_message(describe_wrong_usage);
  Chosen chosen;
  add_run(app, chosen);
  add_check(app, chosen);
  add_reload(app, chosen);
  add_status(app, chosen);
  add_top(app, chosen);
  add_tail(app, chosen);
  add_log(app, chosen);
  add_replay(app, chosen);
  add_rules(app, chosen);
  add_modbus(app, chosen);
  add_deadletter(app, chosen);
  add_alarms(app, chosen);
  add_simulate(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  return run_chosen(chosen);
}
