#include "drivers/modbus/write_queue.h"

#include <utility>

namespace tidegate::drivers {

bool WriteQueue::push(BusWrite write) {
  const std::lock_guard lock(mutex_);
  if (closed_ || writes_.size() >= kMost) return false;
  writes_.push_back(std::move(write));
  return true;
}

std::optional<BusWrite> WriteQueue::take() {
  const std::lock_guard lock(mutex_);
  if (writes_.empty()) return std::nullopt;
  BusWrite write = std::move(writes_.front());
  writes_.pop_front();
  return write;
}

bool WriteQueue::empty() const {
  const std::lock_guard lock(mutex_);
  return writes_.empty();
}

std::deque<BusWrite> WriteQueue::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  return std::exchange(writes_, {});
}

}  // namespace tidegate::drivers
