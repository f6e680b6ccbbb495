#pragma once

#include <array>
#include <cstdint>

namespace tidegate::drivers {

/// Why a message or a value was not taken, or not as it is. What DriverStatus::refused counts, by name(); the kinds
/// that is_kept() names are in DriverStatus::remarked.
enum class Refusal : std::uint8_t {
  none,
  no_such_topic,  // matches no template
  not_json,
  not_a_number,         // payload = "number"
  bad_number,           // beyond a double, or not written as JSON wants
  not_utf8,             // payload = "text" or "csv"
  value_missing,        // nothing at the pointer
  key_twice,            // an object has the name twice: which of the two counts is not said anywhere
  value_not_scalar,     // an object or an array at it
  not_an_object,        // values = "*"
  not_an_array,         // each
  name_missing,         // no device or tag at its pointer
  bad_time,             // the reading is kept, with the time of arrival and quality uncertain
  retained,             // kept by the broker since who knows when: the reading is kept, uncertain for being stale
  tag_invalid,          // the topic makes no valid tag path
  tag_of_other_driver,  // one tag, one driver
  too_many_tags,        // automatic_tags_max
  text_too_long,        // for the log
  too_large,            // over a quarter of the queue
  queue_damaged,        // bytes, not messages
  not_csv,              // more than one line, one of more than 64 KiB, or a quote where none can be
  // payload = "sparkplug"
  not_sparkplug,         // no payload of that kind
  retained_state,        // births, data and deaths are never retained: nobody knows of when this one is
  no_birth,              // an alias, or an integer without a type, and no birth that says what it is
  unknown_alias,         // not in the birth, or twice
  unsupported_type,      // DataSet, Template, Bytes, File, arrays
  type_mismatch,         // the value is not of the metric's type
  sequence_gap,          // messages are missing; what this one has by name is taken
  death_of_other_birth,  // by its bdSeq
  too_many_nodes,        // nodes or devices
  too_many_metrics,      // in a payload, or remembered
  tag_of_other_metric,   // metric "a/b" of a node and metric "b" of its device "a" would be one tag
  node_forgotten,        // silent for long, for the room of others; its tags are uncertain from here on
  count_
};

/// The reading is taken all the same.
inline bool is_kept(Refusal refusal) {
  return refusal == Refusal::bad_time || refusal == Refusal::retained || refusal == Refusal::sequence_gap ||
         refusal == Refusal::node_forgotten;
}

inline const char* name(Refusal refusal) {
  constexpr std::array<const char*, static_cast<std::size_t>(Refusal::count_)> kNames{"none",
                                                                                      "no_such_topic",
                                                                                      "not_json",
                                                                                      "not_a_number",
                                                                                      "bad_number",
                                                                                      "not_utf8",
                                                                                      "value_missing",
                                                                                      "key_twice",
                                                                                      "value_not_scalar",
                                                                                      "not_an_object",
                                                                                      "not_an_array",
                                                                                      "name_missing",
                                                                                      "bad_time",
                                                                                      "retained",
                                                                                      "tag_invalid",
                                                                                      "tag_of_other_driver",
                                                                                      "too_many_tags",
                                                                                      "text_too_long",
                                                                                      "too_large",
                                                                                      "queue_damaged",
                                                                                      "not_csv",
                                                                                      "not_sparkplug",
                                                                                      "retained_state",
                                                                                      "no_birth",
                                                                                      "unknown_alias",
                                                                                      "unsupported_type",
                                                                                      "type_mismatch",
                                                                                      "sequence_gap",
                                                                                      "death_of_other_birth",
                                                                                      "too_many_nodes",
                                                                                      "too_many_metrics",
                                                                                      "tag_of_other_metric",
                                                                                      "node_forgotten"};
  return kNames[static_cast<std::size_t>(refusal)];
}

}  // namespace tidegate::drivers
