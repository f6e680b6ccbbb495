#include "drivers/mqtt/queue_intake.h"

#include <algorithm>
#include <utility>

#include "core/log.h"
#include "core/text.h"

namespace tidegate::drivers {
namespace {

constexpr std::size_t kReadingsPerCollect = 4096;
constexpr Duration kClockStepLeast = std::chrono::milliseconds(100);

std::string queue_path(const std::string& driver, const std::string& runtime_dir) {
  std::string file_name = driver;
  std::replace(file_name.begin(), file_name.end(), '/', '_');
  return runtime_dir + "/mqtt-" + file_name + ".queue";
}

}  // namespace

QueueFileOptions queue_file_options(const MqttDriverOptions& options, const DriverContext& context) {
  QueueFileOptions file;
  file.path = queue_path(options.name, context.runtime_dir);
  file.capacity_bytes = options.queue_bytes;
  file.log_id = context.log_id;
  file.boot_id = context.boot_id;
  file.marks = context.marks;
  return file;
}

std::vector<DriverEvent> tell_remarks(const std::string& driver, const std::vector<QueueRemark>& remarks) {
  std::vector<DriverEvent> events;
  for (const QueueRemark& remark : remarks) {
    log_warning(driver, "{}", remark.text);
    if (!remark.event.empty()) events.push_back({remark.event, {}, remark.text});
  }
  return events;
}

QueueIntake::QueueIntake(std::string driver, std::string path, SharedQueue& queue, MessageDecoder& decoder,
                         const Clock& clock)
    : driver_(std::move(driver)),
      path_(std::move(path)),
      queue_(queue),
      decoder_(decoder),
      clock_(clock),
      begun_(clock.boot_now()),
      marked_(queue.position()) {}

bool QueueIntake::collect(Intake& into) {
  decoder_.set_time(clock_.quality(), clock_.boot_now());
  const std::size_t enough = into.readings.size() + kReadingsPerCollect;
  bool is_drained = false;
  while (into.readings.size() < enough && !is_drained) {
    auto message = queue_.next();
    if (message) {
      message->received = received(*message);
      decoder_.decode(*message, into.readings);
    }
    is_drained = !message;
  }
  count_damage(into);
  if (queue_.position() != marked_) {
    marked_ = queue_.position();
    into.mark = QueueMark{queue_.queue_id(), marked_};
  }
  return !is_drained;
}

// What an earlier process has queued carries the wall time of then; the clock may have been set since, unseen.
WallTime QueueIntake::received(const QueueEntry& message) const {
  if (message.received_boot >= begun_) return message.received;
  const WallTime by_boot = clock_.wall_now() - (clock_.boot_now() - message.received_boot);
  const Duration off = by_boot - message.received;
  return off < kClockStepLeast && off > -kClockStepLeast ? message.received : by_boot;
}

void QueueIntake::count_damage(Intake& into) {
  const std::uint64_t damaged = queue_.damaged_bytes();
  if (damaged == damage_counted_) return;
  const std::string lost =
      path_ + ": " + format_size(damaged - damage_counted_) + " of messages could not be read and are lost";
  log_error(driver_, "queue_damaged: {}", lost);
  into.events.push_back({"queue-damaged", {}, lost});
  decoder_.count(Refusal::queue_damaged, damaged - damage_counted_);
  damage_counted_ = damaged;
}

}  // namespace tidegate::drivers
