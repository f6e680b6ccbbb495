#include "tests/support/batch_checker.h"

#include <simdjson.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace tidegate::testing {
namespace {

constexpr std::size_t kComplaintsMax = 20;

std::uint64_t key_of(std::uint32_t epoch, std::uint64_t sequence) { return std::uint64_t{epoch} << 40 | sequence; }

std::uint64_t number_at(const simdjson::dom::element& object, const char* name, bool& ok) {
  std::uint64_t number = 0;
  if (object[name].get_uint64().get(number) != simdjson::SUCCESS) ok = false;
  return number;
}

std::string text_at(const simdjson::dom::element& object, const char* name, bool& ok) {
  std::string_view text;
  if (object[name].get_string().get(text) != simdjson::SUCCESS) ok = false;
  return std::string(text);
}

}  // namespace

struct BatchChecker::Parser {
  simdjson::dom::parser parser;
};

// One batch, as far as it is looked at.
struct BatchChecker::Parsed {
  std::string stream;
  Stretch stretch;
  bool has_prev = false;
  std::uint32_t prev_epoch = 0;
  std::uint64_t prev_to = 0;
  std::string lane;
  bool has_skipped = false;
  std::uint32_t skipped_epoch = 0;
  std::uint64_t skipped_from = 0;
  std::uint64_t skipped_to = 0;
  std::uint64_t count = 0;
  std::vector<simdjson::dom::element> entry;
  std::vector<std::uint64_t> sequence;

  bool read(const simdjson::dom::element& batch);
};

bool BatchChecker::Parsed::read(const simdjson::dom::element& batch) {
  bool ok = true;
  stream = text_at(batch, "stream", ok);
  ok = number_at(batch, "v", ok) == 1 && ok;
  text_at(batch, "gateway", ok);
  stretch.epoch = static_cast<std::uint32_t>(number_at(batch, "epoch", ok));
  stretch.from = number_at(batch, "from", ok);
  stretch.to = number_at(batch, "to", ok);
  count = number_at(batch, "count", ok);
  simdjson::dom::element prev;
  has_prev = batch["prev"].get(prev) == simdjson::SUCCESS;
  if (has_prev) {
    prev_epoch = static_cast<std::uint32_t>(number_at(prev, "epoch", ok));
    prev_to = number_at(prev, "to", ok);
  }
  bool has_lane = true;
  lane = text_at(batch, "lane", has_lane);
  simdjson::dom::element skipped;
  has_skipped = batch["skipped"].get(skipped) == simdjson::SUCCESS;
  if (has_skipped) {
    skipped_epoch = static_cast<std::uint32_t>(number_at(skipped, "epoch", ok));
    skipped_from = number_at(skipped, "from", ok);
    skipped_to = number_at(skipped, "to", ok);
  }
  simdjson::dom::array entries;
  if (!ok || batch[stream].get_array().get(entries) != simdjson::SUCCESS) return false;
  for (const simdjson::dom::element item : entries) {
    entry.push_back(item);
    sequence.push_back(number_at(item, "seq", ok));
  }
  const bool inside = sequence.empty() || (sequence.front() >= stretch.from && sequence.back() <= stretch.to);
  const bool rising = std::adjacent_find(sequence.begin(), sequence.end(), std::greater_equal<>()) == sequence.end();
  return ok && count == entry.size() && inside && rising;
}

BatchChecker::BatchChecker(NumberedReadings expected)
    : expected_(expected), seen_(static_cast<std::size_t>(expected.count)), parser_(std::make_unique<Parser>()) {}

BatchChecker::~BatchChecker() = default;

void BatchChecker::complain(std::uint64_t& counter, const std::string& text) {
  ++counter;
  if (report_.complaints.size() < kComplaintsMax) report_.complaints.push_back(text);
}

void BatchChecker::take(std::string_view payload) {
  ++report_.batches;
  Parsed batch;
  simdjson::dom::element root;
  if (parser_->parser.parse(payload.data(), payload.size()).get(root) != simdjson::SUCCESS || !batch.read(root)) {
    complain(report_.malformed, "malformed batch: " + std::string(payload.substr(0, 300)));
    return;
  }
  follow(chains_[batch.stream], batch);
  if (batch.stream == "readings") take_readings(batch);
  if (batch.stream == "events") take_gaps(batch);
  if (batch.stream == "alarms") report_.alarms += batch.count;
}

void BatchChecker::take_readings(const Parsed& batch) {
  if (batch.has_skipped && lane_orders_.empty()) lane_orders_ = {{"live", order_}, {"backlog", order_}};
  for (std::size_t i = 0; i < batch.entry.size(); ++i) take_reading(batch, i);
}

bool BatchChecker::is_as_published(const Parsed& batch, std::size_t index) const {
  const auto& entry = batch.entry[index];
  std::uint64_t number = 0;
  if (entry["value"].get_uint64().get(number) != simdjson::SUCCESS || number >= expected_.count) return false;
  bool ok = true;
  const bool same_tag = text_at(entry, "tag", ok) == expected_.tag(number);
  const bool same_time = number_at(entry, "time", ok) == static_cast<std::uint64_t>(expected_.time_ms(number));
  return same_tag && same_time && text_at(entry, "quality", ok) == "good" && ok;
}

void BatchChecker::take_reading(const Parsed& batch, std::size_t index) {
  ++report_.entries;
  if (!is_as_published(batch, index)) {
    complain(report_.altered, "not as published: " + simdjson::minify(batch.entry[index]));
    return;
  }
  const std::uint64_t number = batch.entry[index]["value"].get_uint64().value_unsafe();
  const std::uint64_t sequence = batch.sequence[index];
  const auto [known, is_new] = numbers_.emplace(key_of(batch.stretch.epoch, sequence), number);
  if (is_new) {
    take_new_reading(lane_orders_.empty() ? order_ : lane_orders_[batch.lane], batch.stretch.epoch, sequence, number);
  } else if (known->second == number) {
    ++report_.repeats;
  } else {
    complain(report_.changed_repeats, "sequence " + std::to_string(sequence) + " was number " +
                                          std::to_string(known->second) + " and is now " + std::to_string(number));
  }
}

void BatchChecker::take_new_reading(Order& order, std::uint32_t epoch, std::uint64_t sequence, std::uint64_t number) {
  const std::uint64_t key = key_of(epoch, sequence);
  if (key < order.newest) {
    complain(report_.misordered, "sequence " + std::to_string(sequence) + " came behind later ones");
  }
  order.newest = std::max(order.newest, key);
  if (seen_[static_cast<std::size_t>(number)]) {
    complain(report_.taken_twice, "number " + std::to_string(number) + " came again as sequence " +
                                      std::to_string(sequence) + " of epoch " + std::to_string(epoch));
    return;
  }
  if (number < order.next_number) {
    complain(report_.misordered,
             "number " + std::to_string(number) + " came behind " + std::to_string(order.next_number - 1));
  }
  order.next_number = std::max(order.next_number, number + 1);
  seen_[static_cast<std::size_t>(number)] = true;
  ++report_.distinct;
}

void BatchChecker::take_gaps(const Parsed& batch) {
  for (const auto& entry : batch.entry) {
    bool ok = true;
    if (text_at(entry, "event", ok) != "gap") continue;
    ++report_.gap_records;
    const auto epoch = static_cast<std::uint32_t>(number_at(entry, "epoch", ok));
    gaps_[text_at(entry, "stream", ok)].push_back({epoch, number_at(entry, "first", ok), number_at(entry, "last", ok)});
    if (!ok) complain(report_.malformed, "gap record: " + simdjson::minify(entry));
  }
}

void BatchChecker::follow(Chain& chain, const Parsed& batch) {
  const Stretch& stretch = batch.stretch;
  fill_holes(chain, stretch);
  const auto is_skipped = [](const Stretch& hole) { return hole.skipped; };
  if (batch.lane == "live" && std::any_of(chain.holes.begin(), chain.holes.end(), is_skipped)) ++report_.beside;
  if (!chain.begun) {
    chain = batch.has_skipped ? Chain{true, batch.skipped_epoch, batch.skipped_from, {}}
                              : Chain{true, stretch.epoch, stretch.from, {}};
    chain.first_epoch = chain.epoch;
  }
  if (stretch.epoch > chain.epoch) begin_epoch(chain, batch);
  if (stretch.epoch < chain.epoch) {
    if (stretch.to >= chain.next) {
      complain(report_.chain_breaks, batch.stream + ": epoch " + std::to_string(stretch.epoch) +
                                         " goes on behind epoch " + std::to_string(chain.epoch));
    }
    return;
  }
  const bool is_skipped_now =
      batch.has_skipped && batch.skipped_from <= chain.next && batch.skipped_to + 1 >= stretch.from;
  if (stretch.from > chain.next) chain.holes.push_back({stretch.epoch, chain.next, stretch.from - 1, is_skipped_now});
  chain.next = std::max(chain.next, stretch.to + 1);
}

// The first batch of an epoch says where the one before ended, and goes on there.
void BatchChecker::begin_epoch(Chain& chain, const Parsed& batch) {
  if (batch.has_skipped) {
    chain.epoch = batch.stretch.epoch;
    return;
  }
  if (!batch.has_prev) {
    complain(report_.chain_breaks,
             batch.stream + ": epoch " + std::to_string(batch.stretch.epoch) + " begins without \"prev\"");
  } else if (batch.prev_to + 1 < chain.next) {
    complain(report_.chain_breaks, batch.stream + ": \"prev\" ends at " + std::to_string(batch.prev_to) +
                                       ", but the batches reached " + std::to_string(chain.next - 1));
  } else if (batch.prev_to + 1 > chain.next) {
    chain.holes.push_back({batch.prev_epoch, chain.next, batch.prev_to});
    chain.next = batch.prev_to + 1;
  }
  chain.epoch = batch.stretch.epoch;
}

// Sequences go on over epochs.
void BatchChecker::fill_holes(Chain& chain, const Stretch& stretch) {
  std::vector<Stretch> open;
  for (const Stretch& hole : chain.holes) {
    if (!hole.skipped || stretch.to < hole.from || stretch.from > hole.to) {
      open.push_back(hole);
      continue;
    }
    if (stretch.from > hole.from) open.push_back({hole.epoch, hole.from, stretch.from - 1, true});
    if (stretch.to < hole.to) open.push_back({hole.epoch, stretch.to + 1, hole.to, true});
  }
  chain.holes = std::move(open);
}

std::uint64_t BatchChecker::uncovered_holes(const std::string& stream, const Chain& chain) const {
  const auto found = gaps_.find(stream);
  std::uint64_t uncovered = 0;
  for (const Stretch& hole : chain.holes) {
    std::uint64_t next = hole.from;
    if (found != gaps_.end()) {
      auto gaps = found->second;
      std::sort(gaps.begin(), gaps.end(), [](const Stretch& a, const Stretch& b) { return a.from < b.from; });
      for (const Stretch& gap : gaps) {
        if (gap.from <= next && gap.to >= next) next = gap.to + 1;
      }
    }
    if (next <= hole.to) ++uncovered;
  }
  return uncovered;
}

std::uint64_t BatchChecker::lost_readings() const {
  const auto found = gaps_.find("readings");
  if (found == gaps_.end()) return 0;
  auto gaps = found->second;
  std::sort(gaps.begin(), gaps.end(),
            [](const Stretch& a, const Stretch& b) { return std::pair(a.epoch, a.from) < std::pair(b.epoch, b.from); });
  std::uint64_t lost = 0;
  std::uint64_t next = 0;  // sequences go on over epochs
  for (const Stretch& gap : gaps) {
    next = std::max(next, gap.from);
    if (gap.to >= next) lost += gap.to - next + 1;
    next = std::max(next, gap.to + 1);
  }
  return lost;
}

DeliveryReport BatchChecker::report() const {
  DeliveryReport report = report_;
  report.lost = lost_readings();
  for (const auto& [stream, chain] : chains_) {
    const auto holes = uncovered_holes(stream, chain);
    for (const Stretch& hole : chain.holes) report.skipped_open += hole.skipped ? 1U : 0U;
    report.chain_breaks += holes;
    if (holes > 0) {
      report.complaints.push_back(stream + ": nothing answers for what lies behind " +
                                  std::to_string(chain.holes.front().from) + " (and " + std::to_string(holes - 1) +
                                  " more holes)");
    }
  }
  if (const auto found = chains_.find("readings"); found != chains_.end()) {
    report.epochs = found->second.epoch - found->second.first_epoch + 1;
  }
  return report;
}

std::vector<std::uint64_t> BatchChecker::missing(std::size_t most) const {
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t n = 0; n < expected_.count && numbers.size() < most; ++n) {
    if (!seen_[static_cast<std::size_t>(n)]) numbers.push_back(n);
  }
  return numbers;
}

}  // namespace tidegate::testing
