#include "drivers/mqtt/shared_queue.h"

#include <algorithm>
#include <utility>

#include "core/text.h"

namespace tidegate::drivers {

// The orders between the two threads are the default ones, sequentially consistent, and two places need that: a
// producer that stores the tail and then looks whether the consumer sleeps meets a consumer that says it sleeps and
// then looks at the tail; and the same about room, the other way round. One of the two always sees the other.

Result<std::unique_ptr<SharedQueue>> SharedQueue::open(const QueueFileOptions& options, std::function<void()> wake,
                                                       std::vector<QueueRemark>& remarks) {
  auto file = QueueFile::open(options, remarks);
  if (!file) return tl::unexpected(file.error());
  std::unique_ptr<SharedQueue> queue(new SharedQueue(std::move(*file), std::move(wake)));
  queue->check_what_waits(remarks);
  return queue;
}

Result<std::unique_ptr<SharedQueue>> SharedQueue::open_left(const QueueFileOptions& options,
                                                            std::vector<QueueRemark>& remarks) {
  auto file = QueueFile::open_left(options, remarks);
  if (!file) return tl::unexpected(file.error());
  if (*file == nullptr) return std::unique_ptr<SharedQueue>();
  std::unique_ptr<SharedQueue> queue(new SharedQueue(std::move(*file), [] {}));
  queue->check_what_waits(remarks);
  return queue;
}

SharedQueue::SharedQueue(std::unique_ptr<QueueFile> file, std::function<void()> wake)
    : file_(std::move(file)), wake_(std::move(wake)), codec_(file_->queue_id()), read_(file_->head().load()) {}

std::span<std::byte> SharedQueue::rest_of_ring(std::uint64_t position) const {
  return file_->ring().subspan(static_cast<std::size_t>(position % file_->capacity()));
}

// How many bytes stay unused before an entry that would reach over the end of the ring.
std::uint64_t SharedQueue::skip_before(std::uint64_t tail, std::size_t bytes) const {
  const std::size_t rest = rest_of_ring(tail).size();
  return rest < bytes ? rest : 0;
}

// What a predecessor left is looked through once, so that a damaged entry is known at the start and cut off: what comes
// now is written over it.
void SharedQueue::check_what_waits(std::vector<QueueRemark>& remarks) {
  const std::uint64_t begin = read_;
  const std::uint64_t end = file_->tail().load();
  while (next()) {
  }
  if (damaged_bytes() > 0) {
    const std::uint64_t good = end - damaged_bytes();
    remarks.push_back({"the queue of a former run is damaged: " + format_size(good - begin) + " of " +
                           format_size(end - begin) + " could be read",
                       ""});  // how much is lost is in damaged_bytes()
    file_->tail().store(good);
  }
  read_ = begin;
  consumer_idle_ = begin == file_->tail().load();
}

bool SharedQueue::has_room(std::uint64_t tail, std::uint64_t bytes) const {
  return tail + bytes - file_->head().load() <= file_->capacity();
}

SharedQueue::Push SharedQueue::push(const QueueEntry& entry) {
  const std::size_t bytes = QueueEntryCodec::bytes_of(entry);
  if (bytes > largest() || entry.topic.size() > QueueEntryCodec::kTopicBytesMax) return Push::too_large;
  const std::uint64_t tail = file_->tail().load();
  const std::uint64_t skip = skip_before(tail, bytes);
  if (!has_room(tail, skip + bytes)) return Push::full;
  if (skip >= QueueEntryCodec::kHeaderBytes) codec_.write_filler(rest_of_ring(tail), tail);
  codec_.write(rest_of_ring(tail + skip), tail + skip, entry);
  file_->tail().store(tail + skip + bytes);
  if (consumer_idle_ && consumer_idle_.exchange(false)) wake_();
  return Push::stored;
}

bool SharedQueue::is_empty_at(std::uint64_t position) {
  if (position != file_->tail().load()) return false;
  consumer_idle_ = true;
  if (position == file_->tail().load()) return true;
  consumer_idle_ = false;
  return false;
}

std::optional<QueueEntry> SharedQueue::next() {
  while (!is_empty_at(read_)) {
    const std::uint64_t waiting = file_->tail().load() - read_;
    const auto rest = rest_of_ring(read_);
    if (rest.size() < QueueEntryCodec::kHeaderBytes) {  // too little for a filler
      read_ += rest.size();
      continue;
    }
    const auto found =
        codec_.read(rest.first(static_cast<std::size_t>(std::min<std::uint64_t>(rest.size(), waiting))), read_);
    if (!found) {
      damaged_bytes_ += waiting;
      read_ += waiting;
      continue;
    }
    read_ += found->bytes;
    if (!found->is_filler) return found->entry;
  }
  return std::nullopt;
}

void SharedQueue::release() { file_->head().store(read_); }

}  // namespace tidegate::drivers
