#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/uplink/forwarder_fixture.h"

namespace tidegate::uplink::testing {

/// A forwarder that gives up what a target refuses three times, and a target that says so of some records.
class RefusalFixture : public ForwarderFixture {
 protected:
  RefusalFixture() {
    options_.dead_letter_after = 3;
    options_.inflight_max = 1;
    begin_at({1, 0});
    link_up();
  }

  std::optional<RefusedRecord> refuse(const OutgoingBatch& batch) {
    BatchFailure how;
    how.refusal = "field type conflict";
    return forwarder_->failed(batch.id, now_, how);
  }

  static bool holds(const OutgoingBatch& batch, std::uint64_t sequence) {
    return batch.payload->find("{\"seq\":" + std::to_string(sequence) + ",") != std::string::npos;
  }

  /// Answers until nothing is sent any more: what holds one of `poison` is refused, the rest taken. What was given up.
  std::vector<RefusedRecord> answer_all(const std::set<std::uint64_t>& poison) {
    std::vector<RefusedRecord> given_up;
    for (int round = 0; round < 2'000; ++round) {
      pass(pause_);
      feed();
      const auto batch = send();
      if (!batch) break;
      if (auto record = answer(*batch, poison)) {
        EXPECT_TRUE(forwarder_->leave_out(record->batch_id));
        given_up.push_back(std::move(*record));
      }
    }
    return given_up;
  }

  std::optional<RefusedRecord> answer(const OutgoingBatch& batch, const std::set<std::uint64_t>& poison) {
    const bool is_refused =
        std::any_of(poison.begin(), poison.end(), [&](std::uint64_t sequence) { return holds(batch, sequence); });
    if (is_refused) return refuse(batch);
    if (batch.beside != 0) {
      witnesses_ += std::to_string(batch.from) + " ";
    } else {
      taken_ += (taken_.empty() ? "" : " ") + std::to_string(batch.from) + ".." + std::to_string(batch.to) +
                (batch.count == 0 ? "(0)" : "");
    }
    return forwarder_->acknowledged(batch.id);
  }

  /// A target that has taken 0 and refuses 1, which is all there is.
  void refuse_one_behind_another() {
    options_.batch_readings_max = 1;
    begin_at({1, 0});
    link_up();
    supply_all(readings(1, 0, 1));
    answer(send_all_later().at(0), {});
  }

  /// The same, with others behind it.
  void refuse_one_before_others() {
    refuse_one_behind_another();
    there_ = 10;
    feed();
  }
  /// Supplies what the forwarder wants of the readings that are there.
  void feed() {
    if (there_ > 0) forwarder_->announce(Stream::readings, {1, there_});
    while (const auto demand = forwarder_->demand()) {
      if (demand->from.sequence >= there_) return;
      forwarder_->supply(readings(1, demand->from.sequence, there_ - 1), now_, demand->lane);
    }
  }
  /// Answers until 1 is given up, and takes all else.
  RefusedRecord give_up() {
    for (int i = 0; i < 1'000; ++i) {
      feed();
      const auto sent = send_all_later();
      if (sent.empty()) break;
      if (auto record = answer(sent[0], {1})) return *record;
    }
    ADD_FAILURE() << "it is not given up";
    return {};
  }

  void supply_live(std::uint64_t sequence) {
    const RecordBatch batch = readings(1, sequence, sequence);
    forwarder_->announce(Stream::readings, batch.end());
    while (const auto demand = forwarder_->demand()) {
      const std::uint64_t from = demand->from.sequence;
      const std::uint64_t last = demand->until ? demand->until->sequence - 1 : sequence;
      forwarder_->supply(readings(1, from, last), now_, demand->lane);
    }
  }

  Duration pause_ = std::chrono::minutes(2);
  std::uint64_t there_ = 0;  // readings
  std::string witnesses_;
  std::string taken_;
};

}  // namespace tidegate::uplink::testing
