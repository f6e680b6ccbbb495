#include "daemon/find_place.h"

#include <memory>
#include <utility>

namespace tidegate::daemon {

void find_place(const buffer::LogContents& log, Worker& storage, EventLoop& loop, Stream stream,
                const buffer::ReadPlace& place, PlaceFound done) {
  // std::function wants to copy what it holds, a reader can only move.
  const std::shared_ptr<buffer::DiskReader> reader = log.disk_reader(stream);
  storage.post([reader, &loop, place, done = std::move(done)] {
    const auto found = reader->find(place);
    loop.post([found, done] { done(found); });
  });
}

}  // namespace tidegate::daemon
