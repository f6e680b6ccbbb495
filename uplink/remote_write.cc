#include "uplink/remote_write.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <string_view>

#include "uplink/prometheus_wire.h"

namespace tidegate::uplink {
namespace {

namespace dom = simdjson::dom;

std::optional<double> number_of(const dom::object& entry) {
  dom::element value;
  std::string_view quality;
  if (entry["quality"].get_string().get(quality) == simdjson::SUCCESS && quality == "bad") return std::nullopt;
  if (entry["value"].get(value) != simdjson::SUCCESS) return std::nullopt;
  if (value.is_bool()) return value.get_bool().value_unsafe() ? 1 : 0;
  double number = 0;
  if (!value.is_number() || value.get_double().get(number) != simdjson::SUCCESS) return std::nullopt;
  return number;
}

}  // namespace

struct RemoteWrite::Parser {
  dom::parser dom;
};

RemoteWrite::RemoteWrite(const HttpUplinkOptions& options, std::string gateway)
    : gateway_(std::move(gateway)), prefix_(options.metric_prefix), parser_(std::make_unique<Parser>()) {}
RemoteWrite::~RemoteWrite() = default;

Result<std::string> RemoteWrite::body(const OutgoingBatch& batch) {
  auto known = plans_.find(batch.id);
  if (known == plans_.end()) {
    auto plan = plan_of(batch);
    if (!plan) return tl::unexpected(plan.error());
    if (plan->samples.empty()) return std::string();
    known = plans_.emplace(batch.id, std::move(*plan)).first;
  }
  return encode(known->second);
}

HttpVerdict RemoteWrite::judge(const OutgoingBatch& batch, const HttpAnswer& answer) {
  const auto at = plans_.find(batch.id);
  if (at == plans_.end()) return {};
  auto& stretches = at->second.stretches;
  const auto [begin, end] = stretches.back();
  HttpVerdict verdict = uplink::judge(answer, static_cast<std::uint32_t>(end - begin));
  const bool is_refused = !verdict.acknowledged && is_refused_for_its_time(answer);
  if (!verdict.acknowledged && !is_refused) {
    plans_.erase(at);
    return verdict;
  }
  stretches.pop_back();
  if (is_refused && end - begin > 1) {
    const std::size_t middle = begin + (end - begin) / 2;
    stretches.emplace_back(middle, end);
    stretches.emplace_back(begin, middle);
  } else if (is_refused) {
    ++refused_;
  }
  verdict = {};
  verdict.again = !stretches.empty();
  verdict.acknowledged = stretches.empty();
  if (verdict.acknowledged) plans_.erase(at);
  return verdict;
}

// Within a request the samples of a series have to rise; of several in one millisecond the last one counts.
Result<RemoteWrite::Plan> RemoteWrite::plan_of(const OutgoingBatch& batch) {
  dom::array entries;
  dom::element parsed;
  auto error = parser_->dom.parse(*batch.payload).get(parsed);
  if (!error) error = parsed[to_string(batch.stream)].get_array().get(entries);
  if (error) {
    return fail(ErrorCode::give_up_item, std::string("payload of stream ") + to_string(batch.stream) +
                                             " is no batch: " + simdjson::error_message(error));
  }
  Plan plan;
  std::map<std::pair<std::string_view, std::int64_t>, std::size_t> places;
  for (const dom::element element : entries) {
    dom::object entry;
    std::string_view tag;
    std::int64_t time = 0;
    const bool is_whole = element.get_object().get(entry) == simdjson::SUCCESS &&
                          entry["tag"].get_string().get(tag) == simdjson::SUCCESS &&
                          entry["time"].get_int64().get(time) == simdjson::SUCCESS;
    const auto number = is_whole ? number_of(entry) : std::nullopt;
    if (!number) {
      ++no_samples_;
      continue;
    }
    const auto [place, is_new] = places.try_emplace({tag, time}, plan.samples.size());
    if (is_new) {
      plan.samples.push_back({std::string(tag), time, *number});
    } else {
      plan.samples[place->second].value = *number;
      ++no_samples_;
    }
  }
  std::stable_sort(plan.samples.begin(), plan.samples.end(),
                   [](const Sample& a, const Sample& b) { return a.time < b.time; });
  plan.stretches.emplace_back(0, plan.samples.size());
  return plan;
}

std::string RemoteWrite::encode(const Plan& plan) const {
  const auto [begin, end] = plan.stretches.back();
  std::map<std::string_view, RemoteSeries> by_tag;
  for (std::size_t i = begin; i < end; ++i) {
    const Sample& sample = plan.samples[i];
    by_tag[sample.tag].samples.emplace_back(sample.time, sample.value);
  }
  std::string request;
  for (auto& [tag, series] : by_tag) {
    const std::string name = metric_name(prefix_, tag);
    series.labels = {{"__name__", name}, {"gateway", gateway_}, {"tag", tag}};
    append_series(request, series);
  }
  return snappy_block(request);
}

// Prometheus: "out of order sample", "duplicate sample for timestamp", "out of bounds", "too old sample"; Mimir:
// "err-mimir-sample-out-of-order", "...-sample-duplicate-timestamp", "...-sample-timestamp-too-old".
bool is_refused_for_its_time(const HttpAnswer& answer) {
  constexpr std::array<std::string_view, 6> kWords{"out of order",        "out-of-order",  "duplicate sample",
                                                   "duplicate-timestamp", "out of bounds", "too old"};
  if (!answer.problem.empty() || answer.status != 400) return false;
  std::string body = answer.body;
  std::transform(body.begin(), body.end(), body.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto says = [&](std::string_view word) { return body.find(word) != std::string::npos; };
  return std::any_of(kWords.begin(), kWords.end(), says) || says("too-old");
}

}  // namespace tidegate::uplink
