// What becomes of a record that the target refuses for good.
#include <algorithm>
#include <utility>
#include <vector>

#include "core/log.h"
#include "daemon/offset.h"
#include "daemon/uplink_runner.h"
#include "uplink/refusal_trial.h"

namespace tidegate::daemon {
namespace {

// What is refused for longer is no matter of one record.
constexpr Duration kRefusalMost = std::chrono::minutes(1);
constexpr auto kPatience = std::chrono::duration_cast<std::chrono::minutes>(uplink::RefusalTrial::kPatience);

std::vector<uplink::LaneOf> all_lanes() {
  std::vector<uplink::LaneOf> all;
  for (const Stream stream : kAllStreams) {
    for (const auto lane : uplink::kAllLanes) all.emplace_back(stream, lane);
  }
  return all;
}

}  // namespace

void UplinkRunner::on_failed(std::uint64_t batch_id, const uplink::BatchFailure& how) {
  const std::string why = detail_.empty() ? "the target did not say why; look at the status of " + name() : detail_;
  const auto failure = how.refusal.empty() ? fail(ErrorCode::retry, "it did not arrive: " + why)
                                           : fail(ErrorCode::give_up_item, how.refusal);
  if (end_letter(batch_id, failure)) return;
  if (!how.refusal.empty()) note_refusal(uplink::Forwarder::lane_of(batch_id), how.refusal);
  if (const auto refused = forwarder_.failed(batch_id, environment_.clock->boot_now(), how)) give_up(*refused);
  pump();
}

void UplinkRunner::give_up(const uplink::RefusedRecord& record, std::function<void(const Result<void>&)> done) {
  if (!environment_.keep_dead_letter) {
    forwarder_.keep(record.batch_id, environment_.clock->boot_now());
    if (done) done(fail(ErrorCode::invalid, name() + ": no dead letters are kept here"));
    return;
  }
  const auto& options = forwarder_.options();
  const buffer::DeadLetterLimits limits{options.dead_letters_max, options.dead_letters_bytes_max};
  environment_.keep_dead_letter(name(), record, limits, [this, alive = alive_, record, done](const Result<void>& kept) {
    if (!*alive) {
      if (done) done(kept);  // who has asked waits
      return;
    }
    kept ? on_dead(record) : on_not_kept(record, kept.error().message);
    if (done) done(kept);
    pump();
  });
}

void UplinkRunner::put_aside(Stream stream, Position at, std::function<void(const Result<void>&)> done) {
  if (const auto refused = forwarder_.put_aside(stream, at)) return give_up(*refused, std::move(done));
  const auto there = forwarder_.on_trial(stream);
  const std::string others = there ? "it is " + format_position(*there) : "none is";
  done(fail(ErrorCode::invalid, std::string(to_string(stream)) + " " + format_position(at) +
                                    " is not the record that " + name() + " is refused alone: " + others +
                                    ", as its status says"));
}

void UplinkRunner::on_dead(const uplink::RefusedRecord& record) {
  not_kept_[uplink::Forwarder::lane_of(record.batch_id)].reset();
  show_link();
  // The cursor was moved meanwhile, by hand or on to what is current: where the record comes again it is kept again.
  if (!forwarder_.leave_out(record.batch_id)) return;
  log_warning("uplink",
              "{}: {} {} is refused for good, the target said {} times: {}. It is a dead letter now, and what comes "
              "behind it goes on: `tidegate deadletter ls --uplink {}` shows it; correct what is refused, or have the "
              "target take it, and send it again with `tidegate deadletter retry`",
              name(), to_string(record.stream), format_position(record.at), record.tries, record.answer, name());
}

// The stream stands still here: what is refused is not lost.
void UplinkRunner::on_not_kept(const uplink::RefusedRecord& record, const std::string& why) {
  forwarder_.keep(record.batch_id, environment_.clock->boot_now());
  const std::string text = std::string(to_string(record.stream)) + " " + format_position(record.at) +
                           " is refused for good (" + record.answer + ") and cannot be kept as a dead letter: " + why;
  const auto of = uplink::Forwarder::lane_of(record.batch_id);
  auto& not_kept = not_kept_[of];
  if (!not_kept || not_kept->why != text) log_warning("uplink", "{}: stands still: {}", name(), text);
  not_kept = NotKept{place_of(of), text};
  show_link();
}

void UplinkRunner::send_letter(const buffer::DeadLetter& letter, std::function<void(const Result<void>&)> done) {
  const auto& options = forwarder_.options();
  if (!options.takes_letters) {
    return done(
        fail(ErrorCode::invalid,
             name() + " sends nothing outside of its order: its target counts what comes, or keeps the cursor"));
  }
  if (std::find(options.streams.begin(), options.streams.end(), letter.stream) == options.streams.end()) {
    return done(fail(ErrorCode::invalid, name() + " does not carry the stream " + to_string(letter.stream)));
  }
  if (letter_) return done(fail(ErrorCode::retry, "another one is on its way to " + name()));
  if (!link_up_ || stopping_) return done(fail(ErrorCode::link_down, name() + " is down: " + detail_));
  if (is_held(letter.stream)) return done(fail(ErrorCode::retry, name() + ": " + waiting()));
  const auto batch = forwarder_.make_letter(letter.stream, letter.at, letter.record, environment_.clock->wall_now());
  letter_ = LetterOnItsWay{batch.id, letter.stream, std::move(done)};
  transport_->send(batch);
}

bool UplinkRunner::end_letter(std::uint64_t batch_id, const Result<void>& result) {
  if (!uplink::Forwarder::is_letter(batch_id)) return false;
  if (!letter_ || letter_->batch_id != batch_id) return true;
  const auto letter = std::exchange(letter_, std::nullopt);
  if (result) forwarder_.count_letter(letter->stream);
  letter->done(result);
  return true;
}

// While a record is sought and tried, others are taken and refused by turns: that is no up and down of the link, and
// one event for each would fill the log.
void UplinkRunner::note_refusal(uplink::LaneOf of, const std::string& answer) {
  auto& refused = refused_[of];
  const Position cursor = place_of(of);
  // What the lane live was refused and left to the backlog is not over.
  const bool goes_on = refused && (refused->cursor == cursor || is_undelivered(of.stream, refused->cursor));
  if (!goes_on) refused = Refused{cursor, environment_.clock->boot_now(), ""};
  refused->cursor = cursor;
  refused->text = std::string(to_string(of.stream)) + (of.lane == uplink::Lane::backlog ? " of the backlog" : "") +
                  " are refused: " + answer;
  if (const auto left_out = complaints_.admit("refused", environment_.clock->boot_now())) {
    log_warning("uplink", "{}: {}{}", name(), refused->text, since_last_line(*left_out));
  }
  show_link();
}

std::string UplinkRunner::refused() const {
  std::string said;
  for (const uplink::LaneOf of : all_lanes()) {
    const auto& refused = refused_[of];
    if (!refused) continue;
    const auto since = std::chrono::floor<std::chrono::seconds>(environment_.clock->boot_now() - refused->since);
    said += (said.empty() ? "" : "; ") + refused->text + " (for " + std::to_string(since.count()) + " s)";
    const auto at = forwarder_.on_trial(of);
    if (!at) continue;
    said += ": " + format_position(*at) + " goes aside when others are taken meanwhile, in seconds, or in " +
            std::to_string(kPatience.count()) +
            " minutes and more where the target takes nothing of its tag or refuses by chance; at once with `tidegate "
            "deadletter put --uplink " +
            name() + " --stream " + to_string(of.stream) + " --at " + format_position(*at) + "`";
  }
  return said;
}

const std::string* UplinkRunner::lasting_refusal() const {
  const Duration most = forwarder_.options().dead_letter_after > 0 ? kRefusalMost : Duration::zero();
  const BootTime now = environment_.clock->boot_now();
  for (const auto& refused : refused_) {
    if (refused && now - refused->since >= most) return &refused->text;
  }
  return nullptr;
}

void UplinkRunner::look_at_refusals(uplink::LaneOf acknowledged) {
  bool is_over = false;
  const auto look = [&](auto& one, uplink::LaneOf of) {
    if (!one || place_of(of) == one->cursor) return;
    if (of != acknowledged && is_undelivered(of.stream, one->cursor)) return;
    one.reset();
    is_over = true;
  };
  for (const uplink::LaneOf of : all_lanes()) {
    look(not_kept_[of], of);
    look(refused_[of], of);
  }
  if (is_over) show_link();
}

void UplinkRunner::forget_refusals(Stream stream) {
  bool any = false;
  for (const auto lane : uplink::kAllLanes) {
    any = any || not_kept_[{stream, lane}] || refused_[{stream, lane}];
    not_kept_[{stream, lane}].reset();
    refused_[{stream, lane}].reset();
  }
  if (any) show_link();
}

Position UplinkRunner::place_of(uplink::LaneOf of) const {
  const auto places = forwarder_.lanes(of.stream);
  const bool is_of_backlog = of.lane == uplink::Lane::backlog && !places.stretches.empty();
  return is_of_backlog ? places.stretches.front().cursor.acked_to : places.live.acked_to;
}

bool UplinkRunner::is_undelivered(Stream stream, Position at) const {
  const auto places = forwarder_.lanes(stream);
  return at >= places.live.acked_to ||
         std::any_of(places.stretches.begin(), places.stretches.end(), [&](const uplink::SkippedStretch& stretch) {
           return stretch.cursor.acked_to <= at && at < stretch.end;
         });
}

}  // namespace tidegate::daemon
