#include "uplink/batch_fill.h"

#include <algorithm>
#include <utility>

namespace tidegate::uplink {
namespace {

std::size_t entries_bytes_max(std::uint64_t message_bytes, const BatchEncoder& encoder) {
  const std::uint64_t frame = encoder.frame_bytes_max();
  return static_cast<std::size_t>(message_bytes > frame ? message_bytes - frame : 0);
}

}  // namespace

BatchFill::BatchFill(const ForwarderOptions& options, BatchEncoder& encoder, TagFilter& filter)
    : entries_max_(std::max(options.batch_readings_max, std::uint32_t{1})),
      bytes_most_(entries_bytes_max(options.batch_bytes_max, encoder)),
      bytes_max_(bytes_most_),
      encoder_(encoder),
      filter_(filter) {}

bool BatchFill::take(const RecordBatch& batch, std::size_t index, BootTime now) {
  if (full_) return false;
  if (!passes(batch, index)) {
    leave_out(batch);
    return true;
  }
  if (!append(batch, index)) return false;
  if (stretch_.count == 0) {
    stretch_.first_entry = {batch.epoch, batch.first + index};
    stretch_.times = batch.times;
    stretch_.boot_id = batch.boot_id;
    since_ = now;
  }
  ++stretch_.count;
  full_ = full_ || stretch_.count >= entries_max_;
  return true;
}

void BatchFill::reach_back(std::uint64_t from) { stretch_.from = std::min(stretch_.from, from); }

void BatchFill::limit_message(std::size_t bytes) {
  bytes_max_ = std::min(bytes_max_, entries_bytes_max(bytes, encoder_));
}

void BatchFill::raise_limit() {
  constexpr std::size_t kLeast = 1024;
  bytes_max_ = std::min(bytes_most_, std::max(bytes_max_ * 2, kLeast));
}

DoubtfulTimes BatchFill::take_doubts() { return std::exchange(doubts_, {}); }

std::string BatchFill::begin_next(std::uint64_t from) {
  // A little more than this one needed, so that the next is rarely copied and never takes twice its size.
  expected_bytes_ = std::min(entries_.size() + entries_.size() / 8, bytes_max_) + encoder_.frame_bytes_max();
  std::string entries = std::exchange(entries_, {});
  doubts_.clear();
  stretch_ = Stretch{};
  stretch_.from = from;
  full_ = false;
  return entries;
}

bool BatchFill::passes(const RecordBatch& batch, std::size_t index) {
  switch (batch.stream) {
    case Stream::readings:
      return filter_.passes(batch.readings[index].tag);
    case Stream::alarms:
      return filter_.passes_alarm(batch.documents[index]);
    case Stream::events:
      return true;
  }
  return true;
}

// Whether it fits is known when it is encoded; a record a batch is encoded twice for that. What correcting its time may
// add has its room from the beginning.
bool BatchFill::append(const RecordBatch& batch, std::size_t index) {
  if (entries_.empty()) entries_.reserve(expected_bytes_);  // not before: there may be none for a long time
  const std::size_t size_before = entries_.size();
  const std::uint64_t sequence = batch.first + index;
  TimeSpot spot;
  if (batch.stream == Stream::readings) {
    spot = encoder_.append_reading(entries_, sequence, batch.readings[index], batch.times);
  } else {
    encoder_.append_document(entries_, sequence, batch.documents[index]);
  }
  const bool is_doubtful = spot.word_at != 0;
  const std::size_t doubts = doubts_.size() + (is_doubtful ? 1 : 0);
  if (entries_.size() + doubts * DoubtfulTimes::kGrowthMax > bytes_max_) {
    full_ = true;
    if (stretch_.count > 0) {
      entries_.resize(size_before);
      return false;
    }
  }
  if (is_doubtful) doubts_.add(spot, batch.readings[index].time, batch);
  return true;
}

void BatchFill::leave_out(const RecordBatch& batch) {
  if (stretch_.filtered == 0 && stretch_.count == 0) {
    stretch_.times = batch.times;
    stretch_.boot_id = batch.boot_id;
  }
  ++stretch_.filtered;
  if (stretch_.count == 0) ++stretch_.lead;
}

}  // namespace tidegate::uplink
