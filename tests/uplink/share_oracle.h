#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>

#include "uplink/lane.h"
#include "uplink/options.h"

namespace tidegate::uplink::testing {

/// Who has what share: of whatever batches were sent in a row while a lane had something to send it got its part by the
/// weights, but for two. It knows nothing of turns.
class ShareOracle {
 public:
  explicit ShareOracle(const LaneWeights& weights)
      : alarms_{weights.alarms, std::uint64_t{weights.live} + weights.backlog},
        readings_{alarms_.others, alarms_.own},
        live_{weights.live, weights.backlog},
        backlog_{weights.backlog, weights.live},
        events_{1, 7} {}

  /// Before `sent` was chosen those of which `has` says so had something. Returns what is wrong, or nothing.
  std::string note_sent(LaneOf sent, const std::function<bool(LaneOf)>& has) {
    const bool is_reading = sent.stream == Stream::readings;
    const bool has_live = has(Stream::readings);
    const bool has_backlog = has({Stream::readings, Lane::backlog});
    alarms_.note(has(Stream::alarms) || has(Stream::events), !is_reading);
    readings_.note(has_live || has_backlog, is_reading);
    if (is_reading) {
      live_.note(has_live, sent.lane == Lane::live);
      backlog_.note(has_backlog, sent.lane == Lane::backlog);
    } else {
      events_.note(has(Stream::events), sent.stream == Stream::events);
    }
    return starving();
  }
  /// A backlog was begun or made longer.
  void forget_lanes_of_readings() { live_.behind = backlog_.behind = 0; }

 private:
  struct Share {
    // The most over all rows of batches that end now.
    void note(bool has, bool got) {
      if (!has) behind = 0;
      behind += has ? own : 0;
      behind -= got ? std::min(behind, own + others) : 0;
    }
    bool is_starving() const { return behind > 2 * (own + others); }

    std::uint64_t own;
    std::uint64_t others;
    std::uint64_t behind = 0;  // parts of own + others of a batch
  };

  std::string starving() const {
    if (alarms_.is_starving()) return "alarms and events starve";
    if (readings_.is_starving()) return "readings starve";
    if (live_.is_starving()) return "the lane live starves";
    if (backlog_.is_starving()) return "the lane backlog starves";
    return events_.is_starving() ? "events starve" : "";
  }

  Share alarms_;
  Share readings_;
  Share live_;
  Share backlog_;
  Share events_;
};

}  // namespace tidegate::uplink::testing
