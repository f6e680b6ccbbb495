#include <gmock/gmock.h>
#include <simdjson.h>

#include <set>
#include <sstream>
#include <string>

#include "core/text.h"
#include "drivers/modbus/simulated_server.h"
#include "tests/integration/gateway_process.h"
#include "tests/support/network.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;
using ::testing::IsEmpty;
using Names = std::set<std::string>;

/// What docs/api.md says of the members of the status.
struct Documented {
  Names always;
  Names sometimes;  // "only while ..."
};

Documented read_document() {
  std::istringstream lines(read_file(TIDEGATE_SOURCE_DIR "/docs/api.md"));
  Documented members;
  bool in_section = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("## ")) in_section = line == "## Status";
    if (!in_section || !line.starts_with("| `")) continue;
    const std::size_t end = line.find("` | ");
    if (end == std::string::npos) continue;
    const bool is_rare = line.substr(end + 4).starts_with("only ");
    (is_rare ? members.sometimes : members.always).insert(line.substr(3, end - 3));
  }
  return members;
}

// The members of objects that are named by what is there.
std::string placeholder(const std::string& object) {
  if (object.ends_with("streams")) return "STREAM";
  if (object.ends_with("requests") || object.ends_with("writes")) return "RESULT";
  for (const char* counts : {"refused", "remarked", "left_out", "dropped_by_reason"}) {
    if (object.ends_with(counts)) return "REASON";
  }
  return "";
}

void collect(const simdjson::dom::element& value, const std::string& path, Names& into) {
  if (value.is_array()) {
    for (const simdjson::dom::element item : value.get_array()) collect(item, path + "[]", into);
    return;
  }
  if (!value.is_object()) {
    into.insert(path);
    return;
  }
  const std::string any = placeholder(path);
  for (const auto member : value.get_object()) {
    const bool is_fixed = any.empty() || member.key == "refused_by_log";
    collect(member.value, (path.empty() ? "" : path + ".") + (is_fixed ? std::string(member.key) : any), into);
  }
}

Names printed_members(const GatewayProcess& gateway) {
  const auto status = gateway.command({"status", "--json", "--config", gateway.config_file()});
  simdjson::dom::parser parser;
  const simdjson::dom::element root = parser.parse(status.output);
  Names members;
  collect(root, "", members);
  return members;
}

// Whatever daemon/status.cc can print, by the last part of its name.
Names names_in_source() {
  const std::string source = read_file(TIDEGATE_SOURCE_DIR "/daemon/status.cc");
  const std::string status = source.substr(0, source.find("std::string render_latest("));
  Names names;
  for (const std::string call : {"member(\"", "key(\""}) {
    for (std::size_t at = status.find(call); at != std::string::npos; at = status.find(call, at + 1)) {
      const std::size_t begin = at + call.size();
      names.insert(status.substr(begin, status.find('"', begin) - begin));
    }
  }
  return names;
}

Names without(const Names& names, const Names& taken_out) {
  Names left;
  for (const auto& name : names) {
    if (!taken_out.contains(name)) left.insert(name);
  }
  return left;
}

Names words_of(const Names& paths) {
  Names words;
  for (const auto& path : paths) {
    for (const auto part : split(path, '.')) {
      const std::string word(part.substr(0, part.find('[')));
      if (word != "STREAM" && word != "REASON" && word != "RESULT") words.insert(word);
    }
  }
  return words;
}

class StatusDocumentShort : public ::testing::Test {
 protected:
  /// Something of everything: a device that is silent, an uplink that is down, what is refused, remarked and left out.
  void start() {
    drivers::SimulatedModbusOptions options;
    options.units = {1};
    options.moving = false;
    auto server = drivers::start_simulated_modbus(options);
    ASSERT_TRUE(server);
    server_ = std::move(*server);
    port_ = free_port();
    gateway.configure(
        "[[driver.mqtt_listener]]\nname = \"direct\"\nlisten = \"127.0.0.1:" + std::to_string(port_) +
        "\"\n  [[driver.mqtt_listener.subscribe]]\n  topic = \"p/{device}/{tag}\"\n  value = \"/v\"\n  time = \"/t\"\n"
        "[[driver.modbus]]\nname = \"line\"\ntimeout = \"100ms\"\nurl = \"tcp://127.0.0.1:" +
        std::to_string(server_->port()) +
        "\"\n  [[driver.modbus.device]]\n  name = \"a\"\n  unit = 1\n  interval = \"100ms\"\n"
        "  tags = [{ name = \"t\", address = \"holding:1\", deadband = 5 }]\n"
        "  [[driver.modbus.device]]\n  name = \"silent\"\n  unit = 9\n"
        "  tags = [{ name = \"t\", address = \"holding:1\" }]\n"
        "[[uplink.file]]\nname = \"away\"\npath = \"{dir}/none/x.ndjson\"\n");
    gateway.start();
    publish("p/d/t", R"({"v":1,"t":"never"})");
    publish("elsewhere", "1");
  }
  void publish(const std::string& topic, const std::string& payload) {
    const auto done = run_to_end({"/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", std::to_string(port_), "-q", "1",
                                  "-t", topic, "-m", payload});
    ASSERT_EQ(done.end.exit_code, 0) << done.errors;
  }

  GatewayProcess gateway;

 private:
  std::unique_ptr<drivers::SimulatedModbusServer> server_;
  std::uint16_t port_ = 0;
};

TEST_F(StatusDocumentShort, NamesEveryMemberAndNoOther) {
  ASSERT_NO_FATAL_FAILURE(start());
  const Documented documented = read_document();
  ASSERT_GT(documented.always.size(), 50U);
  ASSERT_GT(documented.sometimes.size(), 5U);
  ASSERT_TRUE(gateway.wait_for_metric("tidegate_readings_left_out_total{reason=\"deadband\"}", 1, seconds(30)));
  ASSERT_TRUE(wait_until([&] { return gateway.metric("tidegate_uplink_up{uplink=\"away\"}") == 0; }, seconds(30)));
  const auto skipped =
      gateway.command({"replay", "--uplink", "away", "--from", "end", "--skip", "--config", gateway.config_file()});
  ASSERT_EQ(skipped.end.exit_code, 0) << skipped.errors;
  Names printed;
  (void)wait_until(
      [&] {
        printed = printed_members(gateway);
        return without(documented.always, printed).empty() && printed.contains("drivers[].devices[].detail");
      },
      seconds(30));
  EXPECT_THAT(without(documented.always, printed), IsEmpty()) << "documented and not printed";
  EXPECT_TRUE(printed.contains("drivers[].devices[].detail"));
  EXPECT_TRUE(printed.contains("uplinks[].detail"));
  Names known = documented.always;
  known.insert(documented.sometimes.begin(), documented.sometimes.end());
  EXPECT_THAT(without(printed, known), IsEmpty()) << "printed and not documented";
  EXPECT_THAT(without(names_in_source(), words_of(known)), IsEmpty()) << "can be printed and is not documented";
  EXPECT_THAT(without(words_of(known), names_in_source()), IsEmpty()) << "documented and can never be printed";
}

}  // namespace
}  // namespace tidegate::testing
