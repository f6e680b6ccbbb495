#include "tests/uplink/model_log.h"

#include <algorithm>
#include <string>

namespace tidegate::uplink::testing {
namespace {

using Fate = ModelRecord::Fate;

std::size_t below(std::mt19937_64& random, std::size_t bound) { return static_cast<std::size_t>(random() % bound); }

std::string make_document(Stream stream, const ModelRecord& record) {
  const std::string value = std::to_string(record.value);
  if (stream == Stream::events) return "{\"event\":\"step\",\"value\":" + value + "}";
  const std::string tag = std::to_string(static_cast<std::uint32_t>(record.tag));
  const std::string path = (static_cast<std::uint32_t>(record.tag) % 2 == 0 ? "a/" : "b/") + tag;
  return "{\"alarm\":\"r/" + path + "\",\"cause\":{\"tag\":\"none\"},\"tag\":\"" + path + "\",\"value\":" + value + "}";
}

}  // namespace

bool is_passed(const LanePlaces& places, Position at) {
  const auto is_open = [at](const SkippedStretch& stretch) {
    return at >= stretch.cursor.passed_to && at < stretch.end;
  };
  return at < places.live.passed_to && std::none_of(places.stretches.begin(), places.stretches.end(), is_open);
}

void ModelLog::append(ModelRecord record) {
  record.at = end_;
  records_.push_back(record);
  ++end_.sequence;
}

void ModelLog::evict(std::size_t count) {
  for (ModelRecord& record : records_) {
    if (count == 0) return;
    if (record.fate != Fate::kept) continue;
    record.fate = Fate::evicted;
    --count;
  }
}

void ModelLog::damage(std::size_t count, std::mt19937_64& random) {
  if (records_.empty()) return;
  std::size_t at = below(random, records_.size());
  for (; count > 0 && at < records_.size(); --count, ++at) {
    if (is_kept(at)) records_[at].fate = Fate::evicted;
  }
}

void ModelLog::crash(std::size_t count, const LanePlaces& passed) {
  const std::uint32_t epoch = end_.epoch;
  for (std::size_t i = records_.size(); count > 0 && i > 0; --count, --i) {
    ModelRecord& record = records_[i - 1];
    if (record.at.epoch != epoch || record.fate != Fate::kept) break;
    record.fate = Fate::vanished;
    record.is_counted = is_passed(passed, record.at);
    end_.sequence = record.at.sequence;
    if (reusing_.empty() || reusing_.back() != epoch + 1) reusing_.push_back(epoch + 1);
  }
  end_.epoch = epoch + 1;
}

// Of the first record at the position or behind it that no crash took.
std::uint64_t ModelLog::sequence_of(Position position) const {
  std::size_t next = index_of(position);
  while (next < records_.size() && records_[next].fate == Fate::vanished) ++next;
  return (next < records_.size() ? records_[next].at : end_).sequence;
}

std::optional<std::uint64_t> ModelLog::lost_between(Position from, Position to) const {
  std::optional<std::uint64_t> lost;
  for (std::size_t at = index_of(from); at < records_.size() && records_[at].at < to; ++at) {
    if (records_[at].fate != Fate::vanished) lost = lost.value_or(0) + (records_[at].fate == Fate::evicted ? 1U : 0U);
  }
  return lost;
}

// Counts records, where the daemon subtracts sequences.
CursorMove ModelLog::move(const LanePlaces& places, Position to) {
  CursorMove move;
  move.to = to;
  const auto behind = [this](Position position) { return position.sequence - sequence_of(position); };
  move.reused = behind(places.live.passed_to);
  LanePlaces acked{{places.live.acked_to, places.live.acked_to}};
  for (const SkippedStretch& stretch : places.stretches) {
    move.reused += behind(stretch.cursor.passed_to) - behind(stretch.end);
    acked.stretches.push_back({{stretch.cursor.acked_to, stretch.cursor.acked_to}, stretch.end});
  }
  for (ModelRecord& record : records_) {
    const bool exists = record.fate != Fate::vanished;
    const bool passed = is_passed(places, record.at);
    // The gap record covers what the filter left out and no batch answered for, too.
    if (!is_passed(acked, record.at) && record.at < to) record.skipped = record.declared = true;
    if (!passed && record.at < to) move.skipped += exists ? 1U : 0U;
    if (record.at < to || !passed) continue;
    move.replayed += exists ? 1U : 0U;
    moved_over_ += record.is_counted ? 1U : 0U;
    record.is_counted = exists;
    record.skipped = false;
  }
  return move;
}

ModelLog::Read ModelLog::read(Position from, const FrameTimes& times, std::mt19937_64& random) const {
  Read outcome;
  std::size_t at = index_of(from);
  for (; at < records_.size() && !is_kept(at); ++at) outcome.lost += records_[at].fate == Fate::evicted ? 1U : 0U;
  if (outcome.lost > 0) {
    outcome.kind = Read::Kind::gone;
    outcome.next = at < records_.size() ? records_[at].at : end_;
    return outcome;
  }
  if (at == records_.size()) return outcome;
  std::size_t begin = at;
  for (std::size_t n = below(random, 5); n > 0 && begin > 0 && are_neighbours(begin - 1, begin); --n) --begin;
  std::size_t end = at + 1;
  for (std::size_t n = below(random, 30); n > 0 && end < records_.size() && are_neighbours(end - 1, end); --n) ++end;
  // What is behind the position asked for may be left off by a log, too.
  if (below(random, 2) == 0) begin = at;
  outcome.kind = Read::Kind::ready;
  outcome.batch = make_batch(begin, end, times);
  return outcome;
}

ModelRecord* ModelLog::find(Position at) {
  const std::size_t index = index_of(at);
  return index < records_.size() && records_[index].at == at ? &records_[index] : nullptr;
}

std::size_t ModelLog::index_of(Position at) const {
  const auto found =
      std::lower_bound(records_.begin(), records_.end(), at,
                       [](const ModelRecord& record, Position position) { return record.at < position; });
  return static_cast<std::size_t>(found - records_.begin());
}

bool ModelLog::are_neighbours(std::size_t left, std::size_t right) const {
  return is_kept(left) && is_kept(right) && records_[left].at.epoch == records_[right].at.epoch &&
         records_[left].at.sequence + 1 == records_[right].at.sequence;
}

RecordBatch ModelLog::make_batch(std::size_t begin, std::size_t end, const FrameTimes& times) const {
  RecordBatch batch;
  batch.stream = stream_;
  batch.epoch = records_[begin].at.epoch;
  batch.first = records_[begin].at.sequence;
  batch.times = times;
  for (std::size_t i = begin; i < end; ++i) {
    if (stream_ == Stream::readings) {
      Reading reading;
      reading.tag = records_[i].tag;
      reading.value = records_[i].value;
      reading.time = times.wall;
      batch.readings.push_back(reading);
    } else {
      batch.documents.push_back(make_document(stream_, records_[i]));
    }
  }
  return batch;
}

}  // namespace tidegate::uplink::testing
