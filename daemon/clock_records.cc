#include "daemon/clock_records.h"

#include <memory>
#include <utility>

#include "core/log.h"
#include "daemon/clock_events.h"

namespace tidegate::daemon {

bool ClockRecords::is_needed_for(const RecordBatch& batch) const {
  if (known_ || batch.stream != Stream::readings || batch.times.quality == ClockQuality::synced) return false;
  return batch.boot_id != parts_.history->this_boot() || batch.times.boot < parts_.started;
}

void ClockRecords::read(std::function<void()> done) {
  waiting_.push_back(std::move(done));
  if (waiting_.size() > 1) return;
  const std::shared_ptr<buffer::DiskReader> reader = parts_.log->disk_reader(Stream::events);
  parts_.storage->post([this, alive = alive_, reader, &loop = *parts_.loop, from = parts_.log->oldest(Stream::events)] {
    const auto found = std::make_shared<Found>(read_events(*reader, from));
    loop.post([this, alive, found] {
      if (*alive) finish(*found);
    });
  });
}

ClockRecords::Found ClockRecords::read_events(buffer::DiskReader& reader, Position from) {
  std::vector<ClockAnchor> anchors;
  while (true) {
    const auto outcome = reader.read(from);
    if (!outcome) return tl::unexpected(outcome.error());
    if (outcome->status == buffer::ReadStatus::at_end) return anchors;
    from = outcome->batch ? outcome->batch->end() : outcome->next;
    if (!outcome->batch) continue;
    for (const std::string& document : outcome->batch->documents) {
      if (const auto anchor = parse_clock_event(document)) anchors.push_back(*anchor);
    }
  }
}

void ClockRecords::finish(const Found& found) {
  if (found) {
    known_ = true;
    for (const ClockAnchor& anchor : *found) parts_.history->add(anchor);
  } else {
    log_warning("clock", "cannot read what the log says of it, times of earlier starts are sent as they are: {}",
                found.error().message);
  }
  for (const auto& done : std::exchange(waiting_, {})) done();
}

}  // namespace tidegate::daemon
