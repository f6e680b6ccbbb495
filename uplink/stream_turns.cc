#include "uplink/stream_turns.h"

namespace tidegate::uplink {
namespace {

// Of alarms to one of events.
constexpr std::uint64_t kAlarmsToEvents = 7;

}  // namespace

std::uint64_t weight_of_readings(const LaneWeights& weights) {
  return std::uint64_t{weights.live} + std::uint64_t{weights.backlog};
}

StreamTurns::StreamTurns(const LaneWeights& weights)
    : events_(1, kAlarmsToEvents),
      readings_(weight_of_readings(weights), weights.alarms),
      backlog_(weights.backlog, weights.live) {}

void StreamTurns::count(LaneOf sent, const Waiting& waiting) {
  if (sent.stream == Stream::readings) {
    readings_.take();
    if (sent.lane == Lane::backlog) return backlog_.take();
    return waiting.backlog ? backlog_.pass_over() : backlog_.forget();
  }
  if (waiting.readings) readings_.pass_over();
  if (sent.stream == Stream::events) return events_.take();
  if (waiting.events) events_.pass_over();
}

}  // namespace tidegate::uplink
