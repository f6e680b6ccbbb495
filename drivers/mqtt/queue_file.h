#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/descriptor.h"
#include "core/error.h"
#include "core/record.h"

namespace tidegate::drivers {

struct QueueFileOptions {
  std::string path;  // its directory exists
  std::uint64_t capacity_bytes = 0;
  std::array<std::uint8_t, 16> log_id{};
  BootId boot_id{};
  std::vector<QueueMark> marks;  // how far the log has taken earlier queues
};

/// What a person should know of a queue that was opened.
struct QueueRemark {
  std::string text;
  std::string event;  // what it is in the stream `events`, where messages may have gone; else empty
};

/// The file in shared memory behind a SharedQueue: a header of one page and the ring, mapped and locked. What is in it
/// survives the process, however that ends, and not the boot.
///
/// Header, in this processor's own byte order:
///
///     0 8 bytes "TGQUEUE1"     24 u64 bytes of the ring      64 u64 head: where the oldest entry begins
///     8 u32 version, 1         32 16 bytes log id           128 u64 tail: where the next entry will begin
///    12 u32 CRC-32C of         48 16 bytes boot id
///       bytes 16 to 63                                      Positions only grow; the place in the ring is the
///    16 u64 queue id                                        position modulo its size.
///
/// A file of another boot or another log, one that is damaged, or what is no file at all, is not for us: it is renamed
/// to "PATH.other-N" (the newest two are kept) and a new one is made.
class QueueFile {
 public:
  static constexpr std::size_t kHeaderBytes = 4096;
  static constexpr std::uint64_t kCapacityMin = 16 * 1024;
  static constexpr std::uint64_t kCapacityMax = 1024U * 1024 * 1024;

  /// Opens or makes the file. `remarks` gets what a person should know. Errors: `full` when the file system has no room
  /// for it, `invalid` when another process has it or the place is unusable.
  static Result<std::unique_ptr<QueueFile>> open(const QueueFileOptions& options, std::vector<QueueRemark>& remarks);
  /// The same for a file that somebody has left: null where there is none for us, and none is made. Its size is its
  /// own.
  static Result<std::unique_ptr<QueueFile>> open_left(const QueueFileOptions& options,
                                                      std::vector<QueueRemark>& remarks);
  ~QueueFile();
  QueueFile(const QueueFile&) = delete;
  QueueFile& operator=(const QueueFile&) = delete;

  std::uint64_t queue_id() const;
  std::uint64_t capacity() const { return capacity_; }
  std::span<std::byte> ring() const { return {mapping_ + kHeaderBytes, static_cast<std::size_t>(capacity_)}; }
  std::atomic_ref<std::uint64_t> head() const { return counter_at(kHeadAt); }
  std::atomic_ref<std::uint64_t> tail() const { return counter_at(kTailAt); }

 private:
  // Cache lines of their own: one is written by the consumer, the other by the producer.
  static constexpr std::size_t kHeadAt = 64;
  static constexpr std::size_t kTailAt = 128;

  struct NotOurs {
    std::string why;        // empty: it is ours
    bool is_empty = false;  // for certain
  };

  QueueFile(Descriptor fd, std::byte* mapping, std::uint64_t capacity)
      : fd_(std::move(fd)), mapping_(mapping), capacity_(capacity) {}
  static Result<std::unique_ptr<QueueFile>> map(Descriptor fd, std::uint64_t capacity, const std::string& path);
  static Result<std::unique_ptr<QueueFile>> open_existing(const QueueFileOptions& options, NotOurs& not_ours);
  static Result<void> set_other_aside(const std::string& path, const NotOurs& not_ours,
                                      std::vector<QueueRemark>& remarks);
  static Result<std::unique_ptr<QueueFile>> make(const QueueFileOptions& options);
  std::string why_unsound() const;
  std::string why_not_ours(const QueueFileOptions& options) const;
  void write_header(const QueueFileOptions& options);

  std::atomic_ref<std::uint64_t> counter_at(std::size_t offset) const {
    static_assert(std::atomic_ref<std::uint64_t>::is_always_lock_free);
    return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(mapping_ + offset));
  }

  Descriptor fd_;
  std::byte* mapping_;
  std::uint64_t capacity_;
};

}  // namespace tidegate::drivers
