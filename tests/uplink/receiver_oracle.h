#pragma once

#include <map>
#include <optional>
#include <string>

#include "tests/uplink/model_log.h"
#include "tests/uplink/parsed_batch.h"

namespace tidegate::uplink::testing {

/// What an attentive receiver of one stream can check against the truth of the log: nothing invented or altered,
/// everything that a batch answers for is in it, repeats say the same, and, where the link keeps order, no hole.
class ReceiverOracle {
 public:
  /// With `link_keeps_order` a batch may only arrive when all before it, of its lane, did. With `has_lanes` the chain
  /// holds in each lane.
  ReceiverOracle(ModelLog& log, bool link_keeps_order, bool has_lanes)
      : log_(log), link_keeps_order_(link_keeps_order), has_lanes_(has_lanes) {}

  /// Empty, or what is wrong.
  std::string receive(const ParsedBatch& batch);
  /// Empty, or the first record that should have arrived and has not.
  std::string find_missing() const;
  std::uint64_t repeats() const { return repeats_; }

 private:
  std::string check_content(const ParsedBatch& batch);
  std::string check_chain(const ParsedBatch& batch, const std::optional<Position>& newest) const;
  std::string check_backlog(const ParsedBatch& batch) const;
  void note_promise(const ParsedBatch& batch);
  void note_answer(const ParsedBatch& batch);
  bool is_beginning(const ParsedBatch& batch) const;
  std::string check_prev(const ParsedBatch& batch, Position newest, bool after_gap) const;

  ModelLog& log_;
  const bool link_keeps_order_;
  const bool has_lanes_;
  std::map<std::string, std::optional<Position>> newest_;  // by lane: the last sequence that was ever answered for
  std::uint64_t repeats_ = 0;
};

std::string describe(Position position);

}  // namespace tidegate::uplink::testing
