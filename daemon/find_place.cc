#include "daemon/find_place.h"

#include <memory>
#include <utility>

#include "daemon/work_on.h"

namespace tidegate::daemon {

void find_place(const buffer::LogContents& log, Worker& storage, EventLoop& loop, Stream stream,
                const buffer::ReadPlace& place, PlaceFound done) {
  // std::function wants to copy what it holds, a reader can only move.
  const std::shared_ptr<buffer::DiskReader> reader = log.disk_reader(stream);
  work_on(
      storage, loop, [reader, place] { return reader->find(place); }, std::move(done));
}

}  // namespace tidegate::daemon
