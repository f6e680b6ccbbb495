#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/uplink/parsed_batch.h"
#include "uplink/forwarder.h"

namespace tidegate::uplink::testing {

/// A gateway that takes a reading in each second, and its target, which answers at once.
class TargetModel {
 public:
  struct Setup {
    std::uint64_t seed = 1;
    std::uint32_t inflight = 8;
    bool live_first = false;
    std::uint64_t tags = 1;             // in turn
    std::uint64_t at_begin = 0;         // readings that are there already
    Duration quiet_from = kForEver;     // no more readings come
    Duration quiet_until = Duration{};  // none before that
  };
  /// `has_it`: the target has taken all that is in the batch before.
  using Refuses = std::function<bool(const ParsedBatch& batch, Duration at, bool has_it)>;
  static constexpr Duration kForEver = std::chrono::hours(1'000);

  TargetModel(const Setup& setup, Refuses refuses) : setup_(setup), random_(setup.seed), refuses_(std::move(refuses)) {
    options_.name = "lake";
    options_.batch_readings_max = 100;
    options_.inflight_max = setup.inflight;
    options_.live_first = setup.live_first;
    options_.dead_letter_after = 5;
    may_repeat_ = setup.live_first;
    start({{{1, 0}, {1, 0}}});
  }

  void run_for(Duration length) {
    const BootTime end = now_ + length;
    for (; now_ < end; pass()) {
      announced_ = appended();
      forwarder_->announce(Stream::readings, {1, announced_});
      read();
      answer();
      read();  // what the lane live has just left to the lane backlog
    }
  }
  void restart() {
    may_repeat_ = true;
    start(forwarder_->lanes(Stream::readings));
  }

  Duration time() const { return now_ - kBegin; }
  const std::set<std::uint64_t>& letters() const { return letters_; }
  const std::vector<std::uint64_t>& delivered() const { return delivered_; }
  std::uint64_t witnesses() const { return witnesses_; }
  std::uint64_t probes() const { return probes_; }
  std::uint64_t backlog() const { return forwarder_->backlog(Stream::readings); }
  /// From when a reading was taken in until it was delivered.
  Duration longest_wait() const { return longest_wait_; }
  /// Every record that was taken in, but for what is on its way, is delivered or a letter, and once but where what was
  /// acknowledged behind the cursor is forgotten.
  void expect_all_once() const {
    std::vector<std::uint64_t> all(letters_.begin(), letters_.end());
    all.insert(all.end(), delivered_.begin(), delivered_.end());
    std::sort(all.begin(), all.end());
    if (may_repeat_) all.erase(std::unique(all.begin(), all.end()), all.end());
    for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], i);
    ASSERT_EQ(all.size() + backlog(), announced_);
  }

 private:
  static constexpr BootTime kBegin{std::chrono::hours(1)};

  void start(const LanePlaces& places) {
    forwarder_ = std::make_unique<Forwarder>(options_, "plant-7", tags_, clock_history_, random_());
    forwarder_->restore(Stream::readings, places, {}, false);
    forwarder_->link_up(now_);
    wire_.clear();
  }

  std::uint64_t appended() const {
    const Duration flowing = std::min(time(), setup_.quiet_from) - std::min(time(), setup_.quiet_until);
    return setup_.at_begin + static_cast<std::uint64_t>(std::max(flowing, Duration{}) / std::chrono::seconds(1)) + 1;
  }

  void pass() {
    const BootTime next_second = kBegin + std::chrono::seconds(time() / std::chrono::seconds(1) + 1);
    const BootTime deadline = forwarder_->next_deadline().value_or(next_second);
    now_ = std::min(next_second, std::max(deadline, now_ + std::chrono::milliseconds(10)));
  }

  void read() {
    while (const auto demand = forwarder_->demand()) {
      RecordBatch batch;
      batch.epoch = 1;
      batch.first = demand->from.sequence;
      batch.times = {wall(taken_in(batch.first)), kBegin + taken_in(batch.first), ClockQuality::synced};
      std::uint64_t end = std::min(appended(), batch.first + 100);
      if (demand->until) end = std::min(end, demand->until->sequence);
      for (std::uint64_t i = batch.first; i < end; ++i) {
        batch.readings.emplace_back();
        batch.readings.back().tag = tags_.intern("a/" + std::to_string(i % setup_.tags));
        batch.readings.back().value = static_cast<std::int64_t>(i);
      }
      if (batch.readings.empty()) return;
      forwarder_->supply(batch, now_, demand->lane);
    }
  }
  Duration taken_in(std::uint64_t sequence) const {
    return setup_.quiet_until + std::chrono::seconds(std::max(sequence, setup_.at_begin) - setup_.at_begin);
  }
  static WallTime wall(Duration at) { return WallTime(std::chrono::seconds(1'760'000'000)) + at; }

  void answer() {
    for (int i = 0; i < 100; ++i) {
      while (const auto batch = forwarder_->next_batch(now_, wall(time()))) wire_.push_back(*batch);
      if (wire_.empty()) return;
      const OutgoingBatch batch = wire_.front();
      wire_.pop_front();
      const ParsedBatch parsed = parse_batch(*batch.payload);
      ASSERT_EQ(parsed.problem, "");
      const bool has_it = std::all_of(parsed.entries.begin(), parsed.entries.end(),
                                      [this](const ParsedEntry& entry) { return has_.contains(entry.sequence); });
      const bool is_refused = parsed.count > 0 && refuses_(parsed, time(), has_it);
      if (!is_refused) take(parsed);
      BatchFailure how;
      how.refusal = "422";
      const auto record = is_refused ? forwarder_->failed(batch.id, now_, how) : forwarder_->acknowledged(batch.id);
      if (!record) continue;
      letters_.insert(record->at.sequence);
      forwarder_->leave_out(record->batch_id);
    }
  }

  void take(const ParsedBatch& batch) {
    for (const ParsedEntry& entry : batch.entries) has_.insert(entry.sequence);
    if (batch.beside == "witness") ++witnesses_;
    if (batch.beside == "probe") ++probes_;
    if (!batch.beside.empty()) return;
    for (const ParsedEntry& entry : batch.entries) {
      delivered_.push_back(entry.sequence);
      longest_wait_ = std::max(longest_wait_, time() - taken_in(entry.sequence));
    }
  }

  const Setup setup_;
  std::mt19937_64 random_;
  const Refuses refuses_;
  TagRegistry tags_;
  ClockHistory clock_history_;
  ForwarderOptions options_;
  std::unique_ptr<Forwarder> forwarder_;
  BootTime now_ = kBegin;
  std::deque<OutgoingBatch> wire_;
  std::set<std::uint64_t> has_;
  std::set<std::uint64_t> letters_;
  std::vector<std::uint64_t> delivered_;
  Duration longest_wait_{};
  bool may_repeat_ = false;
  std::uint64_t witnesses_ = 0;
  std::uint64_t probes_ = 0;
  std::uint64_t announced_ = 0;
};

}  // namespace tidegate::uplink::testing
