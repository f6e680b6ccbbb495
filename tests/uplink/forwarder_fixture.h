#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/uplink/parsed_batch.h"
#include "uplink/forwarder.h"

namespace tidegate::uplink::testing {

/// A forwarder between a log that has whatever is asked for and a target that answers when it is told to.
class ForwarderFixture : public ::testing::Test {
 protected:
  ForwarderFixture() {
    options_.name = "cloud";
    options_.batch_readings_max = 10;
    options_.inflight_max = 4;
    begin_at({1, 0});
  }

  /// Begins anew with the options as they are; streams other than readings begin at the beginning.
  void begin_at(Position readings) { restart({readings, readings}, {}); }
  void restart(const Cursor& readings, const Accounting& accounting) {
    forwarder_ = std::make_unique<Forwarder>(options_, "plant-7", tags_, clock_history_, 1);
    for (const Stream stream : kAllStreams) {
      const bool is_readings = stream == Stream::readings;
      forwarder_->restore(stream, is_readings ? readings : Cursor{{1, 0}, {1, 0}},
                          is_readings ? accounting : Accounting{});
    }
  }

  /// Readings `first` to `last` of the tag, in one frame that was taken in just now.
  RecordBatch readings(std::uint32_t epoch, std::uint64_t first, std::uint64_t last, const std::string& tag = "a/x") {
    RecordBatch batch;
    batch.epoch = epoch;
    batch.first = first;
    batch.times = {wall_, now_, ClockQuality::synced};
    for (std::uint64_t i = first; i <= last; ++i) {
      Reading reading;
      reading.tag = tags_.intern(tag);
      reading.value = static_cast<std::int64_t>(i);
      batch.readings.push_back(reading);
    }
    return batch;
  }
  RecordBatch documents(Stream stream, std::uint64_t first, std::vector<std::string> documents) {
    RecordBatch batch;
    batch.stream = stream;
    batch.epoch = 1;
    batch.first = first;
    batch.times = {wall_, now_, ClockQuality::synced};
    batch.documents = std::move(documents);
    return batch;
  }

  void supply(const RecordBatch& batch) {
    forwarder_->announce(batch.stream, batch.end());
    forwarder_->supply(batch, now_);
  }
  /// As the daemon does: until the forwarder wants no more of the batch.
  void supply_all(const RecordBatch& batch) {
    supply(batch);
    while (forwarder_->demand() && forwarder_->demand()->from < batch.end()) forwarder_->supply(batch, now_);
  }

  void link_up() { forwarder_->link_up(now_); }
  void link_down() { forwarder_->link_down(now_); }
  void pass(Duration duration) {
    now_ += duration;
    wall_ += duration;
  }

  std::optional<OutgoingBatch> send() { return forwarder_->next_batch(now_, wall_); }
  std::vector<OutgoingBatch> send_all() {
    std::vector<OutgoingBatch> batches;
    while (auto batch = send()) batches.push_back(*batch);
    return batches;
  }
  void acknowledge(const OutgoingBatch& batch) { forwarder_->acknowledged(batch.id); }
  void fail(const OutgoingBatch& batch) { forwarder_->failed(batch.id, now_); }
  /// Waits out whatever pause there is.
  std::vector<OutgoingBatch> send_all_later() {
    pass(std::chrono::minutes(2));
    return send_all();
  }

  Cursor cursor() const { return forwarder_->cursor(Stream::readings); }
  Accounting accounting() const { return forwarder_->accounting(Stream::readings); }

  TagRegistry tags_;
  ClockHistory clock_history_;
  ForwarderOptions options_;
  std::unique_ptr<Forwarder> forwarder_;
  BootTime now_{std::chrono::hours(5)};
  WallTime wall_{std::chrono::seconds(1'760'000'000)};
};

/// "0..9 10..19"
inline std::string stretches(const std::vector<OutgoingBatch>& batches) {
  std::string text;
  for (const OutgoingBatch& batch : batches) {
    text += (text.empty() ? "" : " ") + std::to_string(batch.from) + ".." + std::to_string(batch.to);
  }
  return text;
}

}  // namespace tidegate::uplink::testing
