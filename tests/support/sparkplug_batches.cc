#include "tests/support/sparkplug_batches.h"

#include <simdjson.h>

#include <utility>

namespace tidegate::testing {
namespace {

constexpr std::size_t kDefectsMost = 20;
constexpr std::uint64_t kGood = 192;

std::optional<std::uint64_t> number_of(const mqtt::SparkplugValue& value) {
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return *number;
  if (const auto* number = std::get_if<std::uint32_t>(&value)) return *number;
  return std::nullopt;
}

std::optional<std::uint64_t> property(const SparkplugValueSeen& value, const char* name) {
  const auto found = value.properties.find(name);
  return found == value.properties.end() ? std::nullopt : number_of(found->second);
}

// Numbered readings are all that is to be read back; of others the value stands as null.
std::string reading(const std::string& metric, std::uint64_t seq, const SparkplugValueSeen& value) {
  const auto number = number_of(value.value);
  return "{\"seq\":" + std::to_string(seq) + ",\"tag\":\"" + metric + "\",\"time\":" + std::to_string(value.timestamp) +
         ",\"value\":" + (number ? std::to_string(*number) : std::string("null")) + ",\"quality\":\"" +
         (property(value, "Quality") == kGood ? "good" : "bad") + "\"}";
}

}  // namespace

void SparkplugBatches::begin() {
  broken_off_ += batch_ ? 1U : 0U;
  batch_.reset();
}

void SparkplugBatches::take(const std::string& metric, const SparkplugValueSeen& value) {
  if (metric == "/Tidegate/Batch") return open(value);
  const auto seq = property(value, "seq");
  if (!seq) return complain(metric + " without seq");
  if (!batch_) return complain(metric + ": an entry of no batch, seq " + std::to_string(*seq));
  if (value.is_historical != batch_->is_historical) complain(metric + ": is_historical is not as its batch says");
  historical_ += value.is_historical ? 1U : 0U;
  auto& newest = batch_->newest_of_metric[metric];
  if (*seq < newest) complain(metric + ": seq " + std::to_string(*seq) + " behind " + std::to_string(newest));
  newest = *seq;
  const auto* document = std::get_if<std::string>(&value.value);
  const bool is_reading = batch_->stream == "readings";
  if (!is_reading && document == nullptr) return complain(metric + " is no text");
  batch_->entries[*seq] = is_reading ? reading(metric, *seq, value) : *document;
  finish_when_whole();
}

void SparkplugBatches::open(const SparkplugValueSeen& value) {
  if (batch_) {
    complain("a batch has " + std::to_string(batch_->entries.size()) + " entries only: " + batch_->head);
  }
  batch_.reset();
  const auto* head = std::get_if<std::string>(&value.value);
  if (head == nullptr) return complain("Tidegate/Batch is no text");
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  std::string_view stream;
  Batch batch;
  auto error = parser.parse(*head).get(root);
  if (!error) error = root["stream"].get_string().get(stream);
  if (!error) error = root["count"].get_uint64().get(batch.count);
  if (!error) error = root["historical"].get_bool().get(batch.is_historical);
  if (error) return complain("Tidegate/Batch is " + *head);
  batch.head = *head;
  batch.stream = stream;
  batch_ = std::move(batch);
  finish_when_whole();
}

void SparkplugBatches::finish_when_whole() {
  if (batch_->entries.size() < batch_->count) return;
  std::string payload = batch_->head.substr(0, batch_->head.rfind('}')) + ",\"" + batch_->stream + "\":[";
  bool is_first = true;
  for (const auto& entry : batch_->entries) {
    payload += (std::exchange(is_first, false) ? "" : ",") + entry.second;
  }
  take_(payload + "]}");
  batch_.reset();
}

void SparkplugBatches::complain(const std::string& text) {
  if (defects_.size() < kDefectsMost) defects_.push_back(text);
}

}  // namespace tidegate::testing
