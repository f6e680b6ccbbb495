// What becomes of a record that the target refuses for good.
#include "core/log.h"
#include "daemon/offset.h"
#include "daemon/uplink_runner.h"

namespace tidegate::daemon {

void UplinkRunner::on_failed(std::uint64_t batch_id, const uplink::BatchFailure& how) {
  if (const auto refused = forwarder_.failed(batch_id, environment_.clock->boot_now(), how)) give_up(*refused);
  pump();
}

void UplinkRunner::give_up(const uplink::RefusedRecord& record) {
  if (!environment_.keep_dead_letter) return forwarder_.keep(record.batch_id, environment_.clock->boot_now());
  const std::uint32_t most = forwarder_.options().dead_letters_max;
  environment_.keep_dead_letter(name(), record, most, [this, alive = alive_, record](const Result<void>& kept) {
    if (!*alive) return;
    kept ? on_dead(record) : on_not_kept(record, kept.error().message);
    pump();
  });
}

void UplinkRunner::on_dead(const uplink::RefusedRecord& record) {
  forwarder_.leave_out(record.batch_id);
  log_warning("uplink",
              "{}: {} {} is refused for good, the target said {} times: {}. It is a dead letter now, and what comes "
              "behind it goes on: `tidegate deadletter ls --uplink {}` shows it; correct what is refused, or have the "
              "target take it",
              name(), to_string(record.stream), format_position(record.at), record.tries, record.answer, name());
  not_kept_.reset();
  show_link();
}

// The uplink stands still here: what is refused is not lost.
void UplinkRunner::on_not_kept(const uplink::RefusedRecord& record, const std::string& why) {
  forwarder_.keep(record.batch_id, environment_.clock->boot_now());
  const std::string text = std::string(to_string(record.stream)) + " " + format_position(record.at) +
                           " is refused for good (" + record.answer + ") and cannot be kept as a dead letter: " + why;
  if (!not_kept_ || not_kept_->why != text) log_warning("uplink", "{}: stands still: {}", name(), text);
  not_kept_ = NotKept{record.stream, forwarder_.cursor(record.stream).acked_to, text};
  show_link();
}

// The target may have taken it at last, or the cursor was moved.
void UplinkRunner::look_at_not_kept() {
  if (!not_kept_ || forwarder_.cursor(not_kept_->stream).acked_to == not_kept_->cursor) return;
  not_kept_.reset();
  show_link();
}

}  // namespace tidegate::daemon
