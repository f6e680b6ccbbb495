#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/driver.h"
#include "drivers/mqtt/message_decoder.h"
#include "drivers/mqtt/options.h"
#include "drivers/mqtt/queue_intake.h"
#include "drivers/mqtt/shared_queue.h"

namespace tidegate::drivers {

/// The queue that a process with ack = "written" has left, for the driver that follows it with another `ack`. What is
/// in it was acknowledged and is nowhere else: it goes into the log as that driver itself would have taken it over,
/// before anything new, and the file goes when all of it is durable. The core thread.
class LeftQueue {
 public:
  /// Null when there is none. One of another boot or log is set aside, which `events` then tells. Decoder and clock
  /// outlive it. Errors as QueueFile::open.
  static Result<std::unique_ptr<LeftQueue>> open(const MqttDriverOptions& options, const DriverContext& context,
                                                 MessageDecoder& decoder, std::vector<DriverEvent>& events);

  std::uint64_t used() const { return queue_->used(); }
  std::uint64_t capacity() const { return queue_->capacity(); }
  /// All that was left is in the log.
  bool is_taken() const { return taken_with_.has_value(); }

  // As in Driver, from its start; with the last of it comes a mark, also where nothing was left.
  bool collect(Intake& into);
  void settled();
  /// True when the file is removed, and this of no more use.
  bool durable(std::uint64_t count);

 private:
  LeftQueue(std::string driver, std::string path, std::unique_ptr<SharedQueue> queue, MessageDecoder& decoder,
            const Clock& clock);

  const std::string driver_;
  const std::string path_;
  const std::unique_ptr<SharedQueue> queue_;
  QueueIntake intake_;
  bool is_drained_ = false;
  std::uint64_t settles_ = 0;
  std::optional<std::uint64_t> taken_with_;  // which call of settled() covered the last of it
};

}  // namespace tidegate::drivers
