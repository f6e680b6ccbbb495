// Clients that others have written, each in a process of its own, against the listener of the real daemon.
#include <gmock/gmock.h>
#include <simdjson.h>

#include <cstdlib>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "tests/integration/gateway_process.h"
#include "tests/support/network.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;

constexpr int kCount = 50;  // messages of each QoS

enum class Client { mosquitto, paho_c, paho_c_asynchronous, paho_python, mqtt_js };
enum class Link { plain, tls };

struct Publication {
  std::string port;
  std::string version;  // 4 or 5
  std::string qos;
  std::string id;
  std::string ca_file;  // empty: no TLS
};

std::vector<std::string> mosquitto_command(const std::string& program, const Publication& what) {
  std::vector<std::string> command{
      "/usr/bin/" + program, "-h", "127.0.0.1", "-p", what.port, "-V", what.version == "5" ? "5" : "311"};
  if (!what.ca_file.empty()) command.insert(command.end(), {"--cafile", what.ca_file});
  return command;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += word + " ";
  return text;
}

// Lines of standard input are messages to mosquitto_pub.
std::vector<std::string> mosquitto_pub(const Publication& what) {
  auto command = mosquitto_command("mosquitto_pub", what);
  command.insert(command.end(), {"-l", "-c", "-i", what.id, "-q", what.qos, "-t", "plant/" + what.id + "/count"});
  return {"/bin/sh", "-c",
          "seq 0 " + std::to_string(kCount - 1) + " | sed 's/.*/{\"v\":&}/' | " + joined(command) +
              (what.version == "5" ? "-x 60" : "")};
}

std::vector<std::string> publisher(Client client, const Publication& what) {
  if (client == Client::mosquitto) return mosquitto_pub(what);
  const std::string folder = TIDEGATE_SOURCE_DIR "/tests/integration/clients/";
  std::vector<std::string> command;
  if (client == Client::paho_c) command = {TIDEGATE_PAHO_C_PUBLISHER};
  if (client == Client::paho_c_asynchronous) command = {TIDEGATE_PAHO_C_PUBLISHER, "--asynchronous"};
  // Debian's own, which has Debian's paho, whatever else is installed.
  if (client == Client::paho_python) command = {"/usr/bin/python3", "-B", folder + "paho_python_publisher.py"};
  if (client == Client::mqtt_js) command = {"/usr/bin/env", "node", folder + "mqtt_js_publisher.js"};
  command.insert(command.end(), {what.port, what.version, what.qos, std::to_string(kCount), what.id});
  if (!what.ca_file.empty()) command.push_back(what.ca_file);
  return command;
}

class InteropTest : public ::testing::TestWithParam<std::tuple<Client, std::string, Link>> {
 protected:
  InteropTest() {
    std::string tls;
    if (std::get<Link>(GetParam()) == Link::tls) {
      make_certificate();
      what_.ca_file = gateway_.directory() + "/gateway.crt";
      tls = "  [driver.mqtt_listener.tls]\n  cert = \"{dir}/gateway.crt\"\n  key = \"{dir}/gateway.key\"\n";
    }
    const std::uint16_t port = free_port();
    what_.port = std::to_string(port);
    what_.version = std::get<std::string>(GetParam());
    gateway_.configure(
        "[buffer]\nsync_interval = \"20ms\"\n[[driver.mqtt_listener]]\nname = \"direct\"\nlisten = \"127.0.0.1:" +
        what_.port + "\"\n" + tls +
        "  [[driver.mqtt_listener.watch]]\n  topics = [\"tidegate/#\"]\n"
        "  [[driver.mqtt_listener.subscribe]]\n  topic = \"plant/{device}/{tag}\"\n  value = \"/v\"\n");
    gateway_.start();
  }

  // Its own authority.
  void make_certificate() {
    const auto made =
        run_to_end({"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "30", "-subj", "/CN=gateway", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", gateway_.directory() + "/gateway.key", "-out", gateway_.directory() + "/gateway.crt"});
    ASSERT_EQ(made.end.exit_code, 0) << made.errors;
  }

  /// How often each value of each tag is in the log.
  std::map<std::string, std::map<std::int64_t, int>> logged() {
    std::map<std::string, std::map<std::int64_t, int>> counts;
    simdjson::dom::parser parser;
    for (const std::string& line : gateway_.tail("readings", "\"tag\"")) {
      const simdjson::dom::element record = parser.parse(line);
      ++counts[std::string(std::string_view(record["tag"]))][record["value"].get_int64()];
    }
    return counts;
  }

  void publish_all() {
    for (const char* qos : {"0", "1", "2"}) {
      what_.qos = qos;
      what_.id = std::string("qos-") + qos;
      const auto command = publisher(std::get<Client>(GetParam()), what_);
      const auto done = run_to_end(command, {}, seconds(60));
      EXPECT_EQ(done.end.exit_code, 0) << joined(command) << "\n" << done.output << done.errors << gateway_.log();
    }
  }

  Publication what_;
  GatewayProcess gateway_;
};

TEST_P(InteropTest, EveryMessageIsAcknowledgedAndInTheLogOnceAsItWasSent) {
  publish_all();
  EXPECT_TRUE(gateway_.wait_for_metric("tidegate_readings_accepted_total{driver=\"direct\"}", 3 * kCount, seconds(20)));
  const auto counts = logged();
  gateway_.stop();
  for (const char* tag : {"qos-0/count", "qos-1/count", "qos-2/count"}) {
    const auto found = counts.find(tag);
    ASSERT_NE(found, counts.end()) << tag;
    for (int value = 0; value < kCount; ++value) {
      EXPECT_TRUE(found->second.contains(value) && found->second.at(value) == 1) << tag << " " << value;
    }
    EXPECT_EQ(found->second.size(), static_cast<std::size_t>(kCount)) << tag;
  }
}

const auto kVersions = ::testing::Values("4", "5");
const auto kLinks = ::testing::Values(Link::plain, Link::tls);
std::string name_of(const ::testing::TestParamInfo<InteropTest::ParamType>& info) {
  const char* const names[]{"Mosquitto", "PahoC", "PahoCAsynchronous", "PahoPython", "MqttJs"};
  return std::string(names[static_cast<int>(std::get<Client>(info.param))]) +
         (std::get<std::string>(info.param) == "5" ? "Version5" : "Version311") +
         (std::get<Link>(info.param) == Link::tls ? "OverTls" : "");
}
INSTANTIATE_TEST_SUITE_P(Debian, InteropTest,
                         ::testing::Combine(::testing::Values(Client::mosquitto, Client::paho_c,
                                                              Client::paho_c_asynchronous, Client::paho_python),
                                            kVersions, kLinks),
                         name_of);
// Only by scripts/test --target interop-npm, which fetches it.
INSTANTIATE_TEST_SUITE_P(Npm, InteropTest, ::testing::Combine(::testing::Values(Client::mqtt_js), kVersions, kLinks),
                         name_of);

class SubscriberTest : public InteropTest {};

TEST_P(SubscriberTest, IsToldThatItsSubscriptionIsRefused) {
  auto command = mosquitto_command("mosquitto_sub", what_);
  command.insert(command.end(), {"-t", "plant/#", "-W", "10"});
  const auto done = run_to_end(command, {}, seconds(30));
  EXPECT_THAT(done.output + done.errors, ::testing::HasSubstr("denied"));
  EXPECT_EQ(gateway_.metric("tidegate_driver_refused_total{driver=\"direct\",reason=\"subscription\"}"), 1);
  gateway_.stop();
}

TEST_P(SubscriberTest, SeesWhatOthersHavePublished) {
  what_.qos = "1";
  what_.id = "qos-1";
  const auto published = run_to_end(mosquitto_pub(what_), {}, seconds(60));
  ASSERT_EQ(published.end.exit_code, 0) << published.errors;
  auto command = mosquitto_command("mosquitto_sub", what_);
  command.insert(command.end(), {"-t", "tidegate/values/+/count", "-q", "1", "-C", "1", "-W", "30"});
  const auto done = run_to_end(command, {}, seconds(60));
  EXPECT_THAT(done.output, ::testing::HasSubstr("\"value\":" + std::to_string(kCount - 1))) << done.errors;
  gateway_.stop();
}

INSTANTIATE_TEST_SUITE_P(Debian, SubscriberTest,
                         ::testing::Combine(::testing::Values(Client::mosquitto), kVersions, kLinks), name_of);

}  // namespace
}  // namespace tidegate::testing
