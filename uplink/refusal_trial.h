#pragma once

#include <chrono>
#include <cstdint>
#include <random>

#include "core/record.h"
#include "core/time.h"

namespace tidegate::uplink {

/// Decides whether a record, and not its target, is to blame for being refused. It is when all of this holds:
///
///   * It was refused so many times, and after each of these times witnesses, which the target had taken before, were
///     sent again and taken: one to three of them, by lot, so that a target of two servers does not answer in step.
///   * Between its first refusal and its last one the target has taken something new, for some look no further than
///     whether they have it. Where nothing else shows that, probes do: records from behind it. Where nothing has come
///     for a long time, and nothing is held up, witnesses alone may do, for some records.
///   * One of the witnesses or probes is of its tag: another part of the target may be the one that refuses.
///
/// Where the target has refused something without a reason, or nothing of the tag is to be had, it also takes a long
/// time. One record at a time. Passive.
class RefusalTrial {
 public:
  enum class Step : std::uint8_t { record, witness, probe };
  struct Surroundings {
    bool has_witness = false;
    bool has_own_witness = false;  // of the tag
    bool is_own_refused = false;   // another record of it
    std::uint64_t fresh = 0;       // new batches that were taken since the record was refused first
    bool is_silent = false;        // nothing has come for kPatience
    bool is_distrusted = false;    // the target
  };

  RefusalTrial(std::uint32_t refusals, std::uint64_t seed) : refusals_(refusals), random_(seed) {}

  /// `is_part`: as often a batch was refused that held it.
  void record_refused(Position at, bool is_part, const Surroundings& around, BootTime now);
  /// What was taken before says nothing of the way of the record.
  void begin_row() { refused_ = witnesses_due_ = confirmed_ = 0; }
  void witness_taken();
  void witness_refused() { witnesses_due_ = confirmed_ = 0; }
  /// It failed otherwise, or its answer is lost: that says nothing of the target, but the row is broken. The record is
  /// next, for which the target may have room by now.
  void witness_failed() { witnesses_due_ = confirmed_ = 0; }
  void probe_taken() { ++probes_taken_; }
  void probe_refused() { probes_left_ -= probes_left_ > 0 ? 1 : 0; }
  /// It failed otherwise, or there is none: the record is next.
  void probe_failed() { probes_left_ = 0; }
  /// A record that was not sent before by this uplink.
  void new_taken() { letters_in_a_row_ = 0; }
  /// The record is a dead letter. Whether the target has to take something new before the next one.
  bool letter_made();
  /// It is to blame, and cannot be one: it is asked of alone from now on, without witnesses.
  void letter_kept_back() { is_kept_back_ = true; }
  void forget();

  Position record() const { return at_; }
  Step next(const Surroundings& around) const;
  bool is_to_blame(const Surroundings& around, BootTime now) const;
  /// Every refusal but the last was followed by witnesses that were taken, and it does not take long.
  bool goes_well(const Surroundings& around) const;

  static constexpr Duration kPatience = std::chrono::minutes(15);
  static constexpr std::uint64_t kFreshLeast = 2;
  static constexpr std::uint32_t kLettersInARow = 10;
  static constexpr std::uint32_t kProbesMost = 16;    // behind one refusal
  static constexpr std::uint32_t kProbesTaken = 200;  // in search of one of the tag

 private:
  std::uint32_t wanted() const { return is_part_ ? refusals_ : 2 * refusals_; }
  bool is_row_done(const Surroundings& around) const;

  const std::uint32_t refusals_;
  std::mt19937_64 random_;
  Position at_{};
  BootTime since_{};
  bool is_part_ = false;
  std::uint32_t refused_ = 0;    // the record, since it is the one
  std::uint32_t confirmed_ = 0;  // of these, in a row
  std::uint32_t witnesses_due_ = 0;
  std::uint64_t fresh_ = 0;  // when it was refused last
  std::uint32_t probes_left_ = 0;
  std::uint32_t probes_taken_ = 0;
  bool is_kept_back_ = false;
  std::uint32_t letters_in_a_row_ = 0;
};

}  // namespace tidegate::uplink
