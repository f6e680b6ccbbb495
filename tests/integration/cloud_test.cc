// The daemon to what cloud services look like: through refusals and kills nothing is lost.
#include <gtest/gtest.h>
#include <simdjson.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <mutex>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "core/text.h"
#include "tests/integration/gateway_process.h"
#include "tests/support/http_server.h"
#include "tests/support/kinesis_stream.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/mqtt_probe.h"
#include "tests/support/seed.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;

constexpr seconds kPatience{60};
constexpr std::uint64_t kCount = 2'000;

/// Publisher -> broker -> the daemon -> what the uplink says.
class CloudShort : public ::testing::Test {
 protected:
  CloudShort() : source_("max_queued_messages 0\nlog_type subscribe\n") { source_.start(); }

  void start_gateway(const std::string& uplink) {
    const std::string relay = relay_config(source_.port(), 0);
    gateway_.configure(relay.substr(0, relay.find("[[uplink")) + uplink);
    gateway_.start();
    ASSERT_TRUE(wait_until([this] { return source_.log().find("plant/+/+") != std::string::npos; }, kPatience))
        << gateway_.log();
  }
  // Killed once on the way.
  void publish_all() {
    NumberedPublisher publisher({source_.port(), readings_, 1'000});
    publisher.start();
    ASSERT_TRUE(publisher.wait_for_acknowledged(kCount / 2, kPatience));
    gateway_.kill();
    gateway_.start();
    ASSERT_TRUE(publisher.wait_for_all(kPatience));
  }
  // The numbers that the values of these records are.
  static std::set<std::uint64_t> numbers(const std::vector<std::string>& records) {
    std::set<std::uint64_t> found;
    simdjson::dom::parser parser;
    for (const std::string& record : records) {
      std::uint64_t value = 0;
      if (parser.parse(record)["value"].get_uint64().get(value) == simdjson::SUCCESS) found.insert(value);
    }
    return found;
  }
  static std::string uplink(const std::string& url, const std::string& lines) {
    return "[[uplink.http]]\nname = \"cloud\"\nretry_most = \"1s\"\nstreams = [\"readings\"]\nurl = \"" + url + "\"\n" +
           lines + "batch = { max_delay = \"100ms\", max_readings = 100 }\n";
  }

  const NumberedReadings readings_{kCount};
  MosquittoBroker source_;
  GatewayProcess gateway_;
};

std::string hexadecimal(const std::string& bytes) {
  std::string out;
  char two[3];
  for (const char c : bytes) {
    std::snprintf(two, sizeof two, "%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    out += two;
  }
  return out;
}

// What the verifier says of the signature of a request.
std::string verdict(const HttpRequestSeen& request) {
  const TemporaryDirectory directory;
  std::string headers;
  for (const auto& [name, value] : request.headers) {
    headers += headers.empty() ? "{" : ",";
    append_json_string(headers, name);
    headers += ':';
    append_json_string(headers, value);
  }
  write_file(directory / "request.json",
             "{\"method\":\"" + request.method + "\",\"target\":\"" + request.target + "\",\"headers\":" + headers +
                 "},\"body\":\"" + hexadecimal(request.body) +
                 "\",\"region\":\"eu-central-1\",\"service\":\"kinesis\",\"keys\":{\"AKIDEXAMPLE\":\"a/secret+key\"}}");
  return run_to_end({"/usr/bin/python3", "-B", TIDEGATE_SOURCE_DIR "/tests/uplink/verify_aws_signature.py",
                     directory / "request.json"})
      .output;
}

TEST_F(CloudShort, KinesisGetsEverythingSignedThoughItTakesOnlySome) {
  const std::uint64_t seed = from_environment("TIDEGATE_SEED", 1);
  std::printf("TIDEGATE_SEED=%llu\n", static_cast<unsigned long long>(seed));
  KinesisStream stream(seed);
  ScriptedHttpServer server([&](const HttpRequestSeen& request) { return stream.answer(request); });
  write_file(gateway_.directory() + "/aws-key", "a/secret+key\n");
  start_gateway(uplink(server.url("/"),
                       "format = \"kinesis\"\naws = { region = \"eu-central-1\", stream = \"s\", access_key_id = "
                       "\"AKIDEXAMPLE\", secret_access_key = { file = \"" +
                           gateway_.directory() + "/aws-key\" } }\n"));
  publish_all();
  std::set<std::uint64_t> found;
  const auto has_all = [&] {
    found.clear();
    for (const auto& [key, records] : stream.taken()) found.merge(numbers(records));
    return found.size() == kCount;
  };
  EXPECT_TRUE(wait_until(has_all, kPatience)) << found.size() << gateway_.log();
  EXPECT_EQ(stream.taken().size(), readings_.devices) << "a key a tag";
  EXPECT_GT(stream.refused(), 0U);
  for (const HttpRequestSeen& request : stream.first_requests()) EXPECT_EQ(verdict(request), "good\n");
  gateway_.stop();
}

TEST_F(CloudShort, PubsubGetsEveryReadingAsAMessage) {
  std::mutex mutex;
  std::set<std::string> bodies;
  ScriptedHttpServer server([&](const HttpRequestSeen& request) {
    const std::lock_guard lock(mutex);
    bodies.insert(request.body);
    simdjson::dom::parser reader;
    const simdjson::dom::array messages = reader.parse(request.body).at_pointer("/messages").get_array();
    std::string ids;
    for (std::size_t i = 0; i < messages.size(); ++i) ids += i == 0 ? R"("4711")" : R"(,"4711")";
    return http_reply(200, "{\"messageIds\":[" + ids + "]}");
  });
  start_gateway(uplink(server.url("/v1/projects/p/topics/t:publish"), "format = \"pubsub\"\n"));
  publish_all();
  std::set<std::uint64_t> found;
  simdjson::dom::parser parser;
  const auto has_all = [&] {
    const std::lock_guard lock(mutex);
    std::vector<std::string> data;
    for (const std::string& body : bodies) {
      const simdjson::dom::array messages = parser.parse(body).at_pointer("/messages").get_array();
      for (const simdjson::dom::element message : messages)
        data.push_back(decode_base64(message["data"].get_string().value()));
    }
    bodies.clear();
    found.merge(numbers(data));
    return found.size() == kCount;
  };
  EXPECT_TRUE(wait_until(has_all, kPatience)) << found.size() << gateway_.log();
  gateway_.stop();
}

TEST_F(CloudShort, CsvFilesThatAreFinishedHaveEveryReadingAndAKillTearsNone) {
  start_gateway(
      "[[uplink.file]]\nname = \"export\"\nformat = \"csv\"\nstreams = [\"readings\"]\npath = \"{dir}/{stream}.csv\"\n"
      "part_suffix = \".part\"\nrotate_size = \"64KiB\"\nbatch = { max_delay = \"100ms\", max_readings = 100 }\n");
  publish_all();
  EXPECT_TRUE(wait_until(
      [&] { return gateway_.metric("tidegate_uplink_backlog_readings{uplink=\"export\",stream=\"readings\"}") == 0; },
      kPatience))
      << gateway_.log();
  gateway_.stop();
  std::vector<std::string> command{"/usr/bin/python3", "-B", TIDEGATE_SOURCE_DIR "/tests/integration/read_csv.py"};
  std::size_t finished = 0;
  for (const auto& entry : std::filesystem::directory_iterator(gateway_.directory())) {
    const std::string name = entry.path().filename().string();
    if (name.find(".csv") == std::string::npos) continue;
    finished += name.ends_with(".csv") ? 1U : 0U;
    EXPECT_TRUE(name == "readings.csv.part" || std::regex_match(name, std::regex(R"(readings\.\d+-\d+\.csv)"))) << name;
    command.push_back(entry.path().string());
  }
  EXPECT_GE(finished, 2U);
  const FinishedProcess read = run_to_end(command);
  EXPECT_EQ(read.end.exit_code, 0) << read.errors;
  std::set<std::string> lines;
  for (const std::string& line : lines_with(read.output, " int")) lines.insert(line);
  EXPECT_EQ(lines.size(), kCount);
  for (const std::uint64_t n : {std::uint64_t{0}, kCount - 1}) {
    EXPECT_EQ(lines_with(read.output, readings_.tag(n) + " 2025-10-09T").empty(), false);
    EXPECT_EQ(lines_with(read.output, " '" + std::to_string(n) + "' int").empty(), false) << n;
  }
}

}  // namespace
}  // namespace tidegate::testing
