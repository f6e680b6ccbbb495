#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "drivers/driver.h"
#include "drivers/mqtt/message_decoder.h"
#include "drivers/mqtt/options.h"
#include "drivers/mqtt/shared_queue.h"

namespace tidegate::drivers {

/// The queue of a driver: where it is, how large, and of which log and boot it has to be.
QueueFileOptions queue_file_options(const MqttDriverOptions& options, const DriverContext& context);

/// Logs what a person should know of a queue that was opened; what of it goes into the stream `events`.
std::vector<DriverEvent> tell_remarks(const std::string& driver, const std::vector<QueueRemark>& remarks);

/// Takes messages out of a SharedQueue and makes readings of them, with the mark that says how far; what of the queue
/// cannot be read is counted and told. The core thread. Queue, decoder and clock outlive it.
class QueueIntake {
 public:
  QueueIntake(std::string driver, std::string path, SharedQueue& queue, MessageDecoder& decoder, const Clock& clock);

  /// As in Driver.
  bool collect(Intake& into);

 private:
  void count_damage(Intake& into);
  WallTime received(const QueueEntry& message) const;

  const std::string driver_;
  const std::string path_;
  SharedQueue& queue_;
  MessageDecoder& decoder_;
  const Clock& clock_;
  const BootTime begun_;
  std::uint64_t marked_;
  std::uint64_t damage_counted_ = 0;
};

}  // namespace tidegate::drivers
