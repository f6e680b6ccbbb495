#include "uplink/refusal_trial.h"

namespace tidegate::uplink {

void RefusalTrial::record_refused(Position at, bool is_part, const Surroundings& around, BootTime now) {
  if (at != at_) {
    forget();
    at_ = at;
    since_ = now;
    is_part_ = is_part;
  }
  ++refused_;
  fresh_ = around.fresh;
  if (is_kept_back_ && is_to_blame(around, now)) return;
  is_kept_back_ = false;
  witnesses_due_ = around.has_witness ? 1 + static_cast<std::uint32_t>(random_() % 3) : 0;
  probes_left_ = kProbesMost;
}

void RefusalTrial::witness_taken() {
  if (witnesses_due_ > 0 && --witnesses_due_ == 0) ++confirmed_;
}

bool RefusalTrial::letter_made() {
  forget();
  return ++letters_in_a_row_ % kLettersInARow == 0;
}

void RefusalTrial::forget() {
  at_ = {};
  refused_ = confirmed_ = witnesses_due_ = probes_left_ = probes_taken_ = 0;
  is_kept_back_ = false;
}

// Without a witness there is no row, and only a probe can become one.
bool RefusalTrial::is_row_done(const Surroundings& around) const {
  return around.has_witness ? confirmed_ >= wanted() : refused_ > 0;
}

RefusalTrial::Step RefusalTrial::next(const Surroundings& around) const {
  if (witnesses_due_ > 0) return Step::witness;
  const bool seeks_own = !around.has_own_witness && probes_taken_ < kProbesTaken;
  const bool wants_probe = around.fresh < kFreshLeast || seeks_own;
  return wants_probe && probes_left_ > 0 && is_row_done(around) ? Step::probe : Step::record;
}

bool RefusalTrial::is_to_blame(const Surroundings& around, BootTime now) const {
  if (witnesses_due_ > 0 || !around.has_witness) return false;
  if (!around.has_own_witness && around.is_own_refused) return false;
  const bool takes_new = fresh_ >= kFreshLeast;
  if (!takes_new && (!around.is_silent || letters_in_a_row_ >= kLettersInARow)) return false;
  const bool is_clear = takes_new && around.has_own_witness && !around.is_distrusted;
  return is_clear ? confirmed_ >= wanted() : confirmed_ >= 2 * wanted() && now - since_ >= kPatience;
}

bool RefusalTrial::goes_well(const Surroundings& around) const {
  const bool is_row = refused_ > 0 && refused_ <= confirmed_ + 1 && refused_ <= 2 * wanted();
  return is_row && around.has_own_witness && !around.is_distrusted;
}

}  // namespace tidegate::uplink
