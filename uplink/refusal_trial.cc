#include "uplink/refusal_trial.h"

namespace tidegate::uplink {

void RefusalTrial::record_refused(Position at, const Surroundings& around, BootTime now) {
  if (at != at_) {
    forget();
    at_ = at;
  }
  ++refused_;
  if (is_kept_back_ && is_to_blame(around, now)) return;
  is_kept_back_ = false;
  witnesses_due_ = around.has_witness ? 1 + static_cast<std::uint32_t>(random_() % 3) : 0;
  others_turn_ = is_in_doubt(around) && around.may_try_them;
}

void RefusalTrial::witness_taken() {
  if (witnesses_due_ > 0 && --witnesses_due_ == 0) ++confirmed_;
}

void RefusalTrial::witness_refused(BootTime now) {
  witnesses_due_ = confirmed_ = 0;
  distrusts_until_ = now + kDistrust;
}

void RefusalTrial::new_taken(bool was_refused, BootTime now) {
  letters_in_a_row_ = 0;
  others_turn_ = others_refused_ = false;
  if (was_refused) distrusts_until_ = now + kDistrust;
}

void RefusalTrial::letter_made() {
  ++letters_in_a_row_;
  forget();
}

void RefusalTrial::forget() {
  at_ = {};
  refused_ = confirmed_ = witnesses_due_ = 0;
  others_turn_ = is_kept_back_ = false;
}

RefusalTrial::Step RefusalTrial::next() const {
  if (witnesses_due_ > 0) return Step::witness;
  return others_turn_ ? Step::other : Step::record;
}

bool RefusalTrial::is_in_doubt(const Surroundings& around) const {
  return !around.has_witness || letters_in_a_row_ >= kLettersInARow;
}

bool RefusalTrial::is_to_blame(const Surroundings& around, BootTime now) const {
  const bool is_open = is_in_doubt(around);
  const bool is_strict = is_open || now < distrusts_until_;
  const std::uint32_t wanted = is_strict ? refusals_ * kPatience : refusals_;
  if (is_open && (others_refused_ || !around.has_others)) return false;
  return witnesses_due_ == 0 && (around.has_witness ? confirmed_ : refused_) >= wanted;
}

bool RefusalTrial::goes_well(const Surroundings& around, BootTime now) const {
  return refused_ > 0 && refused_ <= confirmed_ + 1 && !is_in_doubt(around) && now >= distrusts_until_;
}

}  // namespace tidegate::uplink
