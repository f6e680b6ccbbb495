#include "daemon/space_keeper.h"

#include <spdlog/fmt/fmt.h>

#include "core/log.h"
#include "core/text.h"

namespace tidegate::daemon {
namespace {

// The state database, its write-ahead log, and what both may grow by.
constexpr std::uint64_t kStateBytes = 2 << 20;
constexpr Duration kAgainAfter = std::chrono::minutes(1);

}  // namespace

std::uint64_t SpaceKeeper::wanted() const {
  std::uint64_t bytes = kStateBytes;
  for (const Stream stream : kAllStreams) {
    const std::uint64_t most = parts_.size_max_bytes[static_cast<std::size_t>(stream)];
    const std::uint64_t present = parts_.log->bytes(stream);
    bytes += most > present ? most - present : 0;
  }
  return bytes;
}

void SpaceKeeper::look() {
  const BootTime now = parts_.clock->boot_now();
  const std::uint64_t bytes = wanted();
  if (busy_ || (asked_ == bytes && now < again_at_)) return;
  busy_ = true;
  asked_ = bytes;
  again_at_ = now + kAgainAfter;
  parts_.storage->post([this, bytes] {
    const auto held = parts_.reserve->set(bytes);
    parts_.loop->post([this, bytes, held] {
      busy_ = false;
      take(bytes, held);
    });
  });
}

// Said once, and again when it has changed in kind: figures change with every segment.
void SpaceKeeper::take(std::uint64_t wanted, const Result<std::uint64_t>& held) {
  const std::string state = !held ? held.error().message : *held < wanted ? "short" : "";
  if (state == said_) return;
  said_ = state;
  if (!held) {
    log_warning("log", "no space is reserved for the rings, so a disk that others fill would cut them short: {}",
                held.error().message);
  } else if (*held < wanted) {
    log_warning("log",
                "only {} of the {} that the rings still need are reserved, so that the disk has some left for others: "
                "if they fill it, the rings are cut short; free some space, or make buffer.size smaller",
                format_size(*held), format_size(wanted));
  } else {
    log_info("log", "all the space that the rings still need is reserved");
  }
}

}  // namespace tidegate::daemon
