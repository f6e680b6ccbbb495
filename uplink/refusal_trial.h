#pragma once

#include <cstdint>
#include <random>

#include "core/record.h"
#include "core/time.h"

namespace tidegate::uplink {

/// Decides whether a record, and not its target, is to blame for being refused. A record is to blame when it was
/// refused so many times, and after each of these times a witness, a record that the target had taken before, was sent
/// again and taken: one to three of them, by lot, so that a target of two servers does not answer in step. A witness
/// that is refused, or anything that is taken after it was refused, shows a target that refuses without a reason: then
/// it takes ten times as many for an hour.
///
/// Some targets take what they have already without a look. So where nothing new was taken for kLettersInARow letters,
/// and where there is no witness yet, what lies behind the record is tried in turn with it. As long as nothing of that
/// is taken either it takes ten times as many, and where the target refused some of it, or nothing is there that could
/// be held up, the record is not to blame at all.
///
/// One record at a time. Passive.
class RefusalTrial {
 public:
  enum class Step : std::uint8_t { record, witness, other };
  struct Surroundings {
    bool has_witness = false;
    bool has_others = false;    // behind the record
    bool may_try_them = false;  // before it
  };

  RefusalTrial(std::uint32_t refusals, std::uint64_t seed) : refusals_(refusals), random_(seed) {}

  void record_refused(Position at, const Surroundings& around, BootTime now);
  void witness_taken();
  void witness_refused(BootTime now);
  /// It failed otherwise, or its answer is lost: that says nothing of the target, but the row is broken. The record is
  /// next, for which the target may have room by now.
  void witness_failed() { witnesses_due_ = confirmed_ = 0; }
  void other_refused() { others_refused_ = true; }
  /// Others failed otherwise or are not to be had: the record is next.
  void other_failed() { others_turn_ = false; }
  /// A record that was not sent before by this uplink. `was_refused`: as it stands, before.
  void new_taken(bool was_refused, BootTime now);
  /// The record is a dead letter.
  void letter_made();
  /// It is to blame, and cannot be one: it is asked of alone from now on, without witnesses.
  void letter_kept_back() { is_kept_back_ = true; }
  void forget();

  Position record() const { return at_; }
  Step next() const;
  /// Whether the target is known to take new records now.
  bool is_in_doubt(const Surroundings& around) const;
  bool is_to_blame(const Surroundings& around, BootTime now) const;
  /// Every refusal but the last was followed by witnesses that were taken, and it does not take long.
  bool goes_well(const Surroundings& around, BootTime now) const;

  static constexpr std::uint32_t kPatience = 10;
  static constexpr std::uint32_t kLettersInARow = 10;
  static constexpr Duration kDistrust = std::chrono::hours(1);

 private:
  const std::uint32_t refusals_;
  std::mt19937_64 random_;
  Position at_{};
  std::uint32_t refused_ = 0;    // the record, since it is the one
  std::uint32_t confirmed_ = 0;  // of these, in a row
  std::uint32_t witnesses_due_ = 0;
  bool is_kept_back_ = false;
  bool others_turn_ = false;
  bool others_refused_ = false;  // and nothing new taken since
  std::uint32_t letters_in_a_row_ = 0;
  BootTime distrusts_until_ = BootTime::min();
};

}  // namespace tidegate::uplink
