#pragma once

#include <functional>
#include <optional>

#include "buffer/log_contents.h"
#include "daemon/event_loop.h"
#include "daemon/worker.h"

namespace tidegate::daemon {

/// Where a place is in a stream of the log: looked for on the storage thread, `done` is called on the core thread.
/// Nothing for a time when no record was taken in at it or later. Log, worker and loop outlive the search.
using PlaceFound = std::function<void(Result<std::optional<Position>>)>;
void find_place(const buffer::LogContents& log, Worker& storage, EventLoop& loop, Stream stream,
                const buffer::ReadPlace& place, PlaceFound done);

}  // namespace tidegate::daemon
