#include "drivers/mqtt/left_queue.h"

#include <utility>

#include "core/file_system.h"
#include "core/log.h"
#include "core/text.h"

namespace tidegate::drivers {

Result<std::unique_ptr<LeftQueue>> LeftQueue::open(const MqttDriverOptions& options, const DriverContext& context,
                                                   MessageDecoder& decoder, std::vector<DriverEvent>& events) {
  const QueueFileOptions file = queue_file_options(options, context);
  std::vector<QueueRemark> remarks;
  auto queue = SharedQueue::open_left(file, remarks);
  events = tell_remarks(options.name, remarks);
  if (!queue) return tl::unexpected(queue.error());
  if (*queue == nullptr) return std::unique_ptr<LeftQueue>();
  if (const std::uint64_t waiting = (*queue)->used(); waiting > 0) {
    log_info(options.name, "{} of messages of a former run with ack = \"written\" are taken first, from {}",
             format_size(waiting), file.path);
  }
  return std::unique_ptr<LeftQueue>(new LeftQueue(options.name, file.path, std::move(*queue), decoder, *context.clock));
}

LeftQueue::LeftQueue(std::string driver, std::string path, std::unique_ptr<SharedQueue> queue, MessageDecoder& decoder,
                     const Clock& clock)
    : driver_(std::move(driver)),
      path_(std::move(path)),
      queue_(std::move(queue)),
      intake_(driver_, path_, *queue_, decoder, clock) {}

// Nothing new comes in: who has found it empty once has all of it. The mark makes sure that this is settled too.
bool LeftQueue::collect(Intake& into) {
  if (is_drained_) return false;
  is_drained_ = !intake_.collect(into);
  if (is_drained_) into.mark = QueueMark{queue_->queue_id(), queue_->position()};
  return !is_drained_;
}

void LeftQueue::settled() {
  ++settles_;
  queue_->release();
  if (is_drained_ && !taken_with_) taken_with_ = settles_;
}

// As long as it is open nobody else can have made another one of its name.
bool LeftQueue::durable(std::uint64_t count) {
  if (!taken_with_ || count < *taken_with_) return false;
  if (const auto removed = PosixFileSystem().remove(path_); !removed) {
    log_warning(driver_, "the queue of a former run is empty and cannot be removed: {}", removed.error().message);
  } else {
    log_info(driver_, "the queue of a former run is in the log, {} is removed", path_);
  }
  return true;
}

}  // namespace tidegate::drivers
