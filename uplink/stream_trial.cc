// A chain tries a record that the target refuses: by turns with witnesses, which the target has taken, and with probes
// from behind it.
#include <algorithm>
#include <utility>

#include "uplink/json_text.h"
#include "uplink/stream_chain.h"

namespace tidegate::uplink {

std::optional<RefusedRecord> StreamChain::refuse_record(std::size_t index, BootTime now, const std::string& answer) {
  Link& link = chain_[index];
  const Position at = link.stretch.first_entry;
  suspect(link);
  rewind_from(index);
  answer_ = answer;
  if (at != trial_.record()) begin_trial(link);
  find_witness();
  evidence_.note_refused(tag_, at);
  probes_.begin(at);
  trial_.record_refused(at, link.is_part, around(), now);
  pause(now);
  return judge();
}

void StreamChain::begin_trial(const Link& link) {
  const std::string_view message(*link.message);
  tag_ = tag_of(message.substr(link.entries_at, message.size() - BatchEncoder::kTail.size() - link.entries_at));
  witness_.reset();
  has_own_witness_ = false;
}

void StreamChain::find_witness() {
  if (has_own_witness_) return;
  witness_ = evidence_.newest_of(tag_);
  has_own_witness_ = witness_.has_value();
  if (has_own_witness_) trial_.begin_row();
  if (!witness_) witness_ = evidence_.newest();
}

// The record is the first that is not done. Nothing behind it is sent but as a probe.
std::size_t StreamChain::on_trial() const {
  const auto first = std::find_if(chain_.begin(), chain_.end(), [](const Link& link) {
    return link.state != State::done && link.state != State::joined;
  });
  const bool is_on_trial = first != chain_.end() && first->suspect && first->refusals > 0 &&
                           first->stretch.count == 1 && first->stretch.first_entry == trial_.record();
  return is_on_trial ? static_cast<std::size_t>(first - chain_.begin()) : chain_.size();
}

RefusalTrial::Surroundings StreamChain::around() const {
  const BootTime patient_until = std::max(evidence_.supplied_at(), BootTime{}) + RefusalTrial::kPatience;
  const bool is_silent = !is_behind() && seen_ >= patient_until;
  RefusalTrial::Surroundings around;
  around.has_witness = witness_.has_value();
  around.has_own_witness = has_own_witness_;
  around.is_own_refused = evidence_.has_refused_beside(tag_, trial_.record());
  around.fresh = evidence_.count() - fresh_from_;
  around.is_silent = is_silent;
  around.is_distrusted = evidence_.is_distrusted(seen_);
  return around;
}

std::optional<OutgoingBatch> StreamChain::send_beside(BootTime now, WallTime wall_now) {
  if (on_trial() == chain_.size()) return std::nullopt;
  const auto step = trial_.next(around());
  if (step == RefusalTrial::Step::witness)
    return send_alone("witness", witness_->entry, witness_->epoch, now, wall_now);
  if (step == RefusalTrial::Step::record) return std::nullopt;
  const auto probe = find_probe(now, wall_now);
  if (probe) return send_alone("probe", probe->entry, probe->epoch, now, wall_now);
  trial_.probe_failed();
  probes_.start_over(trial_.record());
  return std::nullopt;
}

// What was never sent is corrected now by what is known of the clock, so that it is the same when its turn comes; what
// is being filled is left alone where there is something to correct.
std::optional<TakenBatches::Record> StreamChain::find_probe(BootTime now, WallTime wall_now) {
  for (std::size_t index = on_trial() + 1; index < chain_.size(); ++index) {
    Link& link = chain_[index];
    if (link.state != State::waiting || link.stretch.count == 0 || !probes_.may_be_before(link.end)) continue;
    if (!link.message) put_head(link, head_of(index, now, wall_now));
    auto probe = find_probe_in(*link.message, link.stretch.first_entry.epoch);
    if (probe) return probe;
  }
  if (fill_.empty() || fill_.has_doubts() || !probes_.may_be_before(read_)) return std::nullopt;
  std::string message = fill_.entries();
  BatchHead head;
  head.stream = stream_;
  encoder_.finish(message, head);
  return find_probe_in(message, read_.epoch);
}

std::optional<TakenBatches::Record> StreamChain::find_probe_in(const std::string& message, std::uint32_t epoch) const {
  TakenBatches::Record probe{{}, epoch};
  const auto read = for_each_entry(message, stream_, [&](std::string_view entry) {
    if (!probe.entry.empty()) return;
    const auto sequence = sequence_of(entry);
    if (sequence && probes_.is_next({epoch, *sequence})) probe.entry = entry;
  });
  return read && !probe.entry.empty() ? std::optional(std::move(probe)) : std::nullopt;
}

OutgoingBatch StreamChain::send_alone(const char* as, const std::string& entry, std::uint32_t epoch, BootTime now,
                                      WallTime wall_now) {
  BatchHead head;
  head.stream = stream_;
  head.epoch = epoch;
  head.from = head.to = sequence_of(entry).value_or(0);
  head.count = 1;
  head.historical = true;
  if (lane_named_) head.lane = lane_;
  head.sent = wall_now;
  head.beside = as;
  std::string message = entry;
  encoder_.finish(message, head);
  beside_.number = next_number_++;
  beside_.is_probe = as == std::string_view("probe");
  beside_.at = {epoch, head.from};
  beside_.tag = tag_of(entry);
  beside_.message = std::make_shared<const std::string>(std::move(message));
  paused_until_.reset();
  seen_ = std::max(seen_, now);
  OutgoingBatch batch{id_of(beside_.number, 0), stream_, epoch, head.from, head.to, 1, beside_.message};
  batch.beside = random_() | 1U;
  batch.lane = uplink::lane_of(head);
  return batch;
}

void StreamChain::take_beside() {
  const Beside taken = std::exchange(beside_, {});
  if (taken.is_probe) {
    if (probes_.take(taken.at)) evidence_.distrust(seen_);
    evidence_.add(taken.message, taken.at.epoch);
    trial_.probe_taken();
    trial_.new_taken();
    find_witness();
  } else {
    trial_.witness_taken();
  }
  if (on_trial() == chain_.size()) return;
  // What takes long is to take few requests.
  if (taken.is_probe || trial_.goes_well(around())) backoff_.reset();
  refused_ = judge();
}

// Probes follow each other without a pause: behind each refusal of the record there are some, and no more.
void StreamChain::refuse_beside(BootTime now) {
  const Beside refused = std::exchange(beside_, {});
  if (refused.is_probe) {
    probes_.refuse(refused.at);
    trial_.probe_refused();
    evidence_.note_refused(refused.tag, refused.at);
    return;
  }
  trial_.witness_refused();
  evidence_.distrust(now);
  pause(now);
}

void StreamChain::fail_beside() {
  std::exchange(beside_, {}).is_probe ? trial_.probe_failed() : trial_.witness_failed();
}

void StreamChain::note_taken(const Link& link) {
  backoff_.reset();
  if (dead_letter_after_ == 0) return;
  kept_backoff_.reset();
  if (link.refusals > 0 || probes_.has_refused_in(link.stretch.first_entry, link.end)) evidence_.distrust(seen_);
  trial_.new_taken();
  if (link.message) evidence_.add(link.message, link.end.epoch);
}

// Nothing that was refused is left.
void StreamChain::look_whether_refusing() {
  is_refusing_ = is_refusing_ && std::any_of(chain_.begin(), chain_.end(), [](const Link& link) {
                   const bool is_open = link.state != State::done && link.state != State::joined;
                   return is_open && (link.suspect || link.refusals > 0);
                 });
}

void StreamChain::forget_trial() {
  trial_.forget();
  probes_.clear();
  witness_.reset();
  beside_ = {};
  has_own_witness_ = is_refusing_ = false;
}

std::optional<Position> StreamChain::record_on_trial() const {
  const std::size_t index = on_trial();
  const bool is_open = index < chain_.size() && chain_[index].state != State::set_aside;
  return is_open ? std::optional(trial_.record()) : std::nullopt;
}

// It may be on its way, or something beside it: no answer to that changes anything any more.
std::optional<RefusedRecord> StreamChain::put_aside(Position at) {
  if (record_on_trial() != at) return std::nullopt;
  return set_aside(on_trial());
}

bool StreamChain::is_deciding() const { return on_trial() < chain_.size() && trial_.goes_well(around()); }

std::optional<RefusedRecord> StreamChain::judge() {
  const std::size_t index = on_trial();
  if (index == chain_.size() || !trial_.is_to_blame(around(), seen_)) return std::nullopt;
  return set_aside(index);
}

}  // namespace tidegate::uplink
