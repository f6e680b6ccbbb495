#include "daemon/disk_feed.h"

#include <algorithm>
#include <utility>

#include "daemon/work_on.h"

namespace tidegate::daemon {
namespace {

constexpr std::size_t kFramesAhead = 16;
constexpr std::size_t kRecordsAhead = 2'000;

Result<DiskFeed::Outcomes> read_ahead(buffer::DiskReader& reader, Position from) {
  DiskFeed::Outcomes outcomes;
  std::size_t records = 0;
  while (outcomes.size() < kFramesAhead && records < kRecordsAhead) {
    auto outcome = reader.read(from);
    if (!outcome) {
      if (outcomes.empty()) return tl::unexpected(outcome.error());
      break;
    }
    if (outcome->status == buffer::ReadStatus::at_end && !outcomes.empty()) break;
    const bool more = outcome->status == buffer::ReadStatus::ready;
    if (more) {
      records += outcome->batch->size();
      from = outcome->batch->end();
    }
    outcomes.push_back(std::move(*outcome));
    if (!more) break;
  }
  return outcomes;
}

}  // namespace

struct DiskFeed::Reader {
  std::unique_ptr<buffer::DiskReader> reader;
};

DiskFeed::DiskFeed(const buffer::LogContents& log, Stream stream, Worker& storage, EventLoop& loop, ClockRecords* clock)
    : log_(log), stream_(stream), storage_(storage), loop_(loop), clock_(clock) {}

DiskFeed::~DiskFeed() { *alive_ = false; }

void DiskFeed::read(Position from, Done done) {
  if (stale_) {
    reader_ = std::make_shared<Reader>(Reader{log_.disk_reader(stream_)});
    stale_ = false;
  }
  busy_ = was_used_ = true;
  const auto job = [reader = reader_, from] { return read_ahead(*reader->reader, from); };
  work_on(storage_, loop_, job, [this, alive = alive_, done = std::move(done)](Result<Outcomes> outcomes) {
    if (*alive) take(std::make_shared<Result<Outcomes>>(std::move(outcomes)), done);
  });
}

void DiskFeed::let_go_unused(BootTime now) {
  if (busy_ || !reader_) return;
  if (std::exchange(was_used_, false)) unused_since_ = now;
  if (now - unused_since_ < kKeptFor) return;
  reader_.reset();
  stale_ = true;
}

void DiskFeed::take(const std::shared_ptr<Result<Outcomes>>& outcomes, const Done& done) {
  const auto give = [this, alive = alive_, outcomes, done] {
    if (!*alive) return;
    busy_ = false;
    stale_ = !*outcomes || (*outcomes)->back().status != buffer::ReadStatus::ready;
    done(std::move(*outcomes));
  };
  const bool needs_clock =
      clock_ != nullptr && *outcomes &&
      std::any_of((*outcomes)->begin(), (*outcomes)->end(),
                  [this](const buffer::ReadOutcome& one) { return one.batch && clock_->is_needed_for(*one.batch); });
  if (needs_clock) return clock_->read(give);
  give();
}

}  // namespace tidegate::daemon
