#pragma once

// Rows that the sections of all uplinks share.

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "daemon/config/rows.h"
#include "daemon/config/scope.h"
#include "daemon/config/values.h"
#include "uplink/options.h"

namespace tidegate::daemon {

/// The table `batch`, for an owner with a member `forwarder`.
template <class Uplink>
Section batch_keys() {
  using namespace std::chrono_literals;
  using uplink::ForwarderOptions;
  using namespace rows;
  using Owner = ForwarderOptions;
  Section section = table<Uplink>(
      "batch", [](Uplink & uplink) -> auto& { return uplink.forwarder; },
      "When a batch is complete: whichever is reached first.");
  section.keys = {
      integer<Owner>("max_readings", &Owner::batch_readings_max, 1, 10000).by_default(500).says("Records in a batch."),
      size<Owner>("max_bytes", &Owner::batch_bytes_max, kKiB, 16 * 1024 * kKiB)
          .by_default("256KiB")
          .says("Size of a batch."),
      duration<Owner>("max_delay", &Owner::batch_delay_max, 0s, 1h)
          .by_default("1s")
          .says("How long the oldest record waits for others."),
  };
  return section;
}

/// The table `weights`, for an owner with a member `forwarder`.
template <class Uplink>
Section weight_keys() {
  using uplink::LaneWeights;
  using namespace rows;
  using Owner = LaneWeights;
  constexpr std::int64_t kMost = 1000;
  Section section = table<Uplink>(
      "weights", [](Uplink & uplink) -> auto& { return uplink.forwarder.weights; },
      "How batches are shared out while several lanes have something to send: each lane has at least its weight's part "
      "of the sum of all three, so that none starves. A lane that has nothing leaves its part to the others.");
  section.keys = {
      integer<Owner>("alarms", &Owner::alarms, 1, kMost)
          .by_default(28)
          .says("Alarms and events, which go first. Of their batches events have one in eight."),
      integer<Owner>("live", &Owner::live, 1, kMost)
          .by_default(3)
          .says("Readings that are current. With `order = \"oldest-first\"` readings are one lane, which has this and "
                "`backlog` together: of 28 + 3 + 1, one batch in eight."),
      integer<Owner>("backlog", &Owner::backlog, 1, kMost)
          .by_default(1)
          .says(
              "With `order = \"live-first\"`: readings of the backlog, beside those that are current; of 3 + 1, one "
              "batch "
              "of readings in four. Its part of `inflight`, one at least, is kept for it. The more it has, the longer "
              "what is current waits behind it."),
  };
  return section;
}

template <class Owner>
Key name_row() {
  using namespace rows;
  return checked<Owner>(
             "name", [](Owner & uplink) -> auto& { return uplink.forwarder.name; }, check_name)
      .required()
      .must_be(kNameForm)
      .example("\"cloud\"")
      .says("The uplink's name; its place in the log is kept under it.");
}

/// When it sends.
template <class Owner>
std::vector<Key> window_rows() {
  using uplink::ForwarderOptions;
  using namespace rows;
  const auto of = [](auto member) {
    return [member](Owner & uplink) -> auto& { return uplink.forwarder.*member; };
  };
  return {
      parsed_texts<Owner>("windows", of(&ForwarderOptions::windows), uplink::parse_sending_window)
          .must_be("parts of a day in UTC as \"22:00-06:00\"")
          .example("[\"22:00-06:00\"]")
          .says(
              "Readings are sent only then, for links that cost less at night; what is on its way when one ends is "
              "not broken off. In UTC. While the clock is certainly wrong, before the day that the program was built, "
              "readings are sent."),
      boolean<Owner>("alarms_always", of(&ForwarderOptions::alarms_always))
          .by_default(true)
          .says("With `windows`: alarms and events are sent at all times. false: they too wait."),
  };
}

/// What every uplink has, for an owner with a member `forwarder`.
template <class Owner>
std::vector<Key> forwarder_rows() {
  using namespace std::chrono_literals;
  using uplink::ForwarderOptions;
  using namespace rows;
  const auto of = [](auto member) {
    return [member](Owner & uplink) -> auto& { return uplink.forwarder.*member; };
  };
  std::vector<Key> keys{
      choices<Owner, Stream>("streams", of(&ForwarderOptions::streams),
                             {{"readings", Stream::readings}, {"alarms", Stream::alarms}, {"events", Stream::events}})
          .by_default(std::vector<std::string>{"readings", "alarms", "events"})
          .says("Which streams to send."),
      checked_texts<Owner>("tags", of(&ForwarderOptions::tags), check_tag_glob)
          .must_be("globs over tag paths")
          .by_default(std::vector<std::string>{"*"})
          .says(
              "Which tags' readings and alarms to send. `*` matches any run of characters, `/` too; `?` matches one."),
      integer<Owner>("inflight", of(&ForwarderOptions::inflight_max), 1, 100)
          .by_default(8)
          .says("How many batches may be on their way without an acknowledgement."),
      duration<Owner>("retry_most", of(&ForwarderOptions::retry_most), 1s, 1h)
          .by_default("60s")
          .says("The longest pause before a batch that failed is sent again; the pauses grow."),
      choice<Owner, bool>("order", of(&ForwarderOptions::live_first), {{"oldest-first", false}, {"live-first", true}})
          .by_default("oldest-first")
          .says("What goes first after an outage. `live-first`: readings that are current at once, and beside them the "
                "backlog. Alarms and events go before both with either. The table `weights` says how much each has "
                "beside the others."),
      parsed<Owner>("backfill_rate",
                    [](const std::string& text, Owner& uplink) -> Result<void> {
                      const auto rate = parse_rate(text);
                      if (!rate) return tl::unexpected(rate.error());
                      uplink.forwarder.backfill_rate = *rate;
                      return {};
                    })
          .must_be(kRateForm)
          .by_default_is("as fast as the target acknowledges")
          .example("\"5000/s\"")
          .says("How many readings a second of the backlog to send. What is current is not held back, and alarms and "
                "events never are. With `oldest-first` it has to be well above the rate at which readings come, or the "
                "backlog grows."),
  };
  for (Key& key : window_rows<Owner>()) keys.push_back(std::move(key));
  return keys;
}

/// Where a target says of what a batch holds that it refuses it. `when` is a sentence on when it does.
template <class Owner>
std::vector<Key> refusal_rows(const std::string& when = {}) {
  using uplink::ForwarderOptions;
  using namespace rows;
  const auto of = [](auto member) {
    return [member](Owner & uplink) -> auto& { return uplink.forwarder.*member; };
  };
  return {
      integer<Owner>("dead_letter_after", of(&ForwarderOptions::dead_letter_after), 0, 1000)
          .by_default(5)
          .says(when +
                "How often the target has to refuse a batch for what is in it, and then the one record of it that is "
                "to blame, while it takes others in between, until that record is kept as a dead letter (`tidegate "
                "deadletter ls`) and what is behind it goes on. A target that refuses everything, or by chance, makes "
                "none ([how](adr/0024-dead-letters.md)). 0: never, the uplink stands still there.")
          .example("0"),
      integer<Owner>("dead_letters_max", of(&ForwarderOptions::dead_letters_max), 1, 1000000)
          .by_default(10000)
          .says("How many dead letters are kept. With as many, the uplink stands still at the next one, and says so."),
      size<Owner>("dead_letters_size", of(&ForwarderOptions::dead_letters_bytes_max), 64 * kKiB, 4096 * 1024 * kKiB)
          .by_default("64MiB")
          .says("The same by what their records and reasons take in the state database."),
  };
}

}  // namespace tidegate::daemon
