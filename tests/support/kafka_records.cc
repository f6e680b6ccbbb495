#include "tests/support/kafka_records.h"

#include <simdjson.h>

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "tests/support/kafka_cluster.h"

namespace tidegate::testing {
namespace {

using Identity = std::pair<std::uint64_t, std::uint64_t>;  // epoch, seq
constexpr std::size_t kComplaintsMax = 20;

class Checker {
 public:
  explicit Checker(const NumberedReadings& expected)
      : expected_(expected), seen_(static_cast<std::size_t>(expected.count)) {}

  void take(const KafkaMessage& message) {
    ++report.messages;
    simdjson::dom::element record;
    std::uint64_t epoch = 0;
    std::uint64_t seq = 0;
    std::uint64_t number = 0;
    const bool parses = parser_.parse(message.value).get(record) == simdjson::SUCCESS &&
                        record["epoch"].get_uint64().get(epoch) == simdjson::SUCCESS &&
                        record["seq"].get_uint64().get(seq) == simdjson::SUCCESS &&
                        record["value"].get_uint64().get(number) == simdjson::SUCCESS;
    if (!parses || !is_as_published(message, record, number) || !fits_headers(message, epoch, seq)) {
      return complain(report.altered, "altered: " + message.key + " " + message.value);
    }
    take_record(message, {epoch, seq}, number);
  }

  KafkaRecords report;

 private:
  bool is_as_published(const KafkaMessage& message, const simdjson::dom::element& record, std::uint64_t number) const {
    std::string_view tag;
    std::int64_t time = 0;
    return record["tag"].get_string().get(tag) == simdjson::SUCCESS &&
           record["time"].get_int64().get(time) == simdjson::SUCCESS && number < expected_.count &&
           tag == expected_.tag(number) && time == expected_.time_ms(number) && message.key == tag;
  }
  static bool fits_headers(const KafkaMessage& message, std::uint64_t epoch, std::uint64_t seq) {
    const auto at = [&](const char* name) {
      const auto found = message.headers.find(name);
      return found == message.headers.end() ? std::string() : found->second;
    };
    return at("tidegate-stream") == "readings" && !at("tidegate-gateway").empty() &&
           at("tidegate-epoch") == std::to_string(epoch) && std::stoull("0" + at("tidegate-from")) <= seq &&
           std::stoull("0" + at("tidegate-to")) >= seq;
  }
  void take_record(const KafkaMessage& message, const Identity& identity, std::uint64_t number) {
    const auto [known, is_new] = contents_.emplace(identity, std::hash<std::string>{}(message.value));
    if (!is_new) {
      if (known->second != std::hash<std::string>{}(message.value))
        return complain(report.altered, "changed repeat: " + message.value);
      ++report.repeats;
      return;
    }
    Identity& newest = newest_[message.key];
    if (identity < newest) complain(report.misordered, "behind a later one of its key: " + message.value);
    newest = std::max(newest, identity);
    ++(seen_[static_cast<std::size_t>(number)] ? report.taken_twice : report.distinct);
    seen_[static_cast<std::size_t>(number)] = true;
  }
  void complain(std::uint64_t& counter, const std::string& text) {
    ++counter;
    if (report.complaints.size() < kComplaintsMax) report.complaints.push_back(text);
  }

  const NumberedReadings expected_;
  simdjson::dom::parser parser_;
  std::map<Identity, std::size_t> contents_;  // their hashes
  std::map<std::string, Identity> newest_;    // by key
  std::vector<bool> seen_;
};

}  // namespace

KafkaRecords read_kafka_records(const std::vector<std::string>& brokers, const std::string& topic,
                                const NumberedReadings& expected, std::chrono::milliseconds patience) {
  Checker checker(expected);
  read_kafka_topic(
      brokers, topic, [&](const KafkaMessage& message) { checker.take(message); }, patience);
  return checker.report;
}

}  // namespace tidegate::testing
