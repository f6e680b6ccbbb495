#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/mqtt/queue_entry.h"
#include "drivers/mqtt/queue_file.h"

namespace tidegate::drivers {

/// The queue between the clients' thread and the core that survives SIGKILL: what push() has stored, the next process
/// finds. One producer thread, one consumer thread. Neither makes a system call for a message; `wake` is called by the
/// producer only when the consumer has found the queue empty.
///
/// Taking is in two steps: next() reads, release() gives the room back, once what was read is in the log. Between the
/// two the entries are still there for a successor, who begins behind whatever the log says it has taken.
class SharedQueue {
 public:
  static Result<std::unique_ptr<SharedQueue>> open(const QueueFileOptions& options, std::function<void()> wake,
                                                   std::vector<QueueRemark>& remarks);

  /// One that an earlier process has left, to be emptied; null when there is none.
  static Result<std::unique_ptr<SharedQueue>> open_left(const QueueFileOptions& options,
                                                        std::vector<QueueRemark>& remarks);

  // Producer.
  enum class Push : std::uint8_t { stored, too_large, full };
  /// Never waits. `full`: there is no room for it before a release(). `too_large`: over largest(), repeating it is
  /// pointless.
  Push push(const QueueEntry& entry);
  std::uint64_t largest() const { return file_->capacity() / 4; }

  // Consumer.
  /// The next message, valid until release(). Nothing when there is none; then the next push calls `wake`.
  std::optional<QueueEntry> next();
  /// Where the messages end that next() has given.
  std::uint64_t position() const { return read_; }
  /// Gives back the room of everything that next() has given.
  void release();

  // Any thread.
  std::uint64_t queue_id() const { return file_->queue_id(); }
  std::uint64_t capacity() const { return file_->capacity(); }
  std::uint64_t used() const { return file_->tail().load() - file_->head().load(); }
  /// Bytes that could not be read because an entry was damaged; those behind it go with it.
  std::uint64_t damaged_bytes() const { return damaged_bytes_.load(); }

 private:
  SharedQueue(std::unique_ptr<QueueFile> file, std::function<void()> wake);
  void check_what_waits(std::vector<QueueRemark>& remarks);
  std::span<std::byte> rest_of_ring(std::uint64_t position) const;
  std::uint64_t skip_before(std::uint64_t tail, std::size_t bytes) const;
  bool has_room(std::uint64_t tail, std::uint64_t bytes) const;
  bool is_empty_at(std::uint64_t position);

  const std::unique_ptr<QueueFile> file_;
  const std::function<void()> wake_;
  const QueueEntryCodec codec_;

  std::uint64_t read_ = 0;                 // consumer
  std::atomic<bool> consumer_idle_{true};  // the consumer saw it empty, and nobody has called wake_ since
  std::atomic<std::uint64_t> damaged_bytes_{0};
};

}  // namespace tidegate::drivers
