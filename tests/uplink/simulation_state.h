#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/uplink/model_log.h"
#include "tests/uplink/receiver_oracle.h"
#include "tests/uplink/share_oracle.h"
#include "uplink/batch_order.h"
#include "uplink/forwarder.h"
#include "uplink/stream_chain.h"

namespace tidegate::uplink::testing {

/// What a ForwarderSimulation consists of, as its seed makes it.
class SimulationState {
 protected:
  SimulationState(std::uint64_t seed, bool link_keeps_order) : random_(seed), link_keeps_order_(link_keeps_order) {}

  struct Saved {
    LanePlaces places;
    Accounting accounting;
    bool replay = false;
  };
  static constexpr std::uint32_t kTags = 6;
  static constexpr int kSteps = 160;

  static std::size_t index(Stream stream) { return static_cast<std::size_t>(stream); }
  static std::size_t index(LaneOf of) { return index(of.stream) + (of.lane == Lane::live ? 0 : kStreamCount); }
  static LaneOf lane_of(const OutgoingBatch& batch) { return StreamChain::lane_of(batch.id); }
  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(random_() % bound); }
  ModelLog& log(Stream stream) { return *logs_[index(stream)]; }
  Stream any_stream() {
    const std::uint32_t number = below(6);
    return number < 4 ? Stream::readings : number == 4 ? Stream::alarms : Stream::events;
  }
  void note(const std::string& problem) {
    if (problem_.empty()) problem_ = problem;
  }

  void make_options() {
    options_.name = "model";
    options_.batch_readings_max = 1 + below(10);
    options_.batch_bytes_max = below(3) == 0 ? 300 + below(1200) : 65536;
    options_.batch_delay_max = std::chrono::milliseconds(below(1500));
    options_.inflight_max = 1 + below(6);
    options_.retry_first = std::chrono::milliseconds(1 + below(500));
    options_.retry_most = std::chrono::seconds(2);
    if (below(3) == 0) options_.backfill_rate = 20 + below(200);
    options_.live_first = below(2) == 0;
    if (options_.live_first && below(2) == 0) options_.backfill_rate = 4 + below(8);
    if (below(3) != 0) options_.weights = {any_weight(), any_weight(), any_weight()};
    is_late_at_times_ = below(3) != 0;
    if (below(2) == 0) poison_every_ = 3 + below(80);
    options_.dead_letter_after = poison_every_ == 0 ? below(2) : 1 + below(3);
    filter_ = below(3);
    if (filter_ == 1) options_.tags = {"a/*"};
    if (filter_ == 2) options_.tags = {"*/0", "b/5"};
  }

  std::uint32_t any_weight() { return 1 + below(below(2) == 0 ? 4 : 1000); }

  bool passes(Stream stream, std::uint32_t tag) const {
    if (stream == Stream::events || filter_ == 0) return true;
    return filter_ == 1 ? tag % 2 == 0 : tag == 0 || tag == 5;
  }

  // Lanes that have something to send now, by index().
  std::set<std::size_t> find_ready() const {
    std::set<std::size_t> ready;
    for (const Stream stream : kAllStreams) {
      for (const Lane lane : kAllLanes) {
        if (forwarder_->is_ready({stream, lane}, boot_)) ready.insert(index({stream, lane}));
      }
    }
    return ready;
  }

  std::mt19937_64 random_;
  const bool link_keeps_order_;
  TagRegistry tags_;
  ClockHistory clock_history_;
  ForwarderOptions options_;
  std::uint32_t filter_ = 0;
  bool is_late_at_times_ = false;
  std::vector<std::unique_ptr<ModelLog>> logs_;
  std::vector<std::unique_ptr<ReceiverOracle>> receivers_;
  std::array<Saved, kStreamCount> saved_{};
  std::unique_ptr<Forwarder> forwarder_;
  std::array<Position, kStreamCount> announced_{};
  std::array<std::optional<Position>, 2 * kStreamCount> last_from_{};
  BatchOrder order_;
  std::map<std::pair<std::size_t, Position>, std::string> texts_;
  std::optional<ShareOracle> shares_{};
  std::deque<OutgoingBatch> wire_;
  std::vector<OutgoingBatch> in_flight_;
  std::vector<OutgoingBatch> answers_;
  bool is_up_ = false;
  std::uint64_t next_value_ = 1;
  std::uint64_t batches_ = 0;
  std::uint64_t split_ = 0;
  std::uint32_t poison_every_ = 0;  // about; 0: there is none
  bool is_mended_ = false;
  std::vector<RefusedRecord> aside_;
  std::uint64_t dead_ = 0;
  std::uint64_t probes_ = 0;
  BootTime boot_{std::chrono::hours(1)};
  WallTime wall_{std::chrono::seconds(1'760'000'000)};
  std::string problem_;
};

}  // namespace tidegate::uplink::testing
