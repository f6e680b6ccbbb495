#pragma once

#include <mutex>
#include <optional>
#include <vector>

#include "core/clock.h"
#include "core/descriptor.h"
#include "core/error.h"
#include "uplink/forwarder.h"

namespace tidegate::uplink {

/// What a transport's thread waits at: batches that are to be sent, the word that it has to end, and whatever else
/// writes to wake_fd(), an eventfd.
class TransportInbox {
 public:
  explicit TransportInbox(const Clock& clock) : clock_(clock) {}

  Result<void> open();
  int wake_fd() const { return wake_.get(); }

  /// False when it has ended. Any thread.
  bool put(const OutgoingBatch& batch);
  /// By when the thread has to end is from now on in `grace`. False when that was said before. Any thread.
  bool end(Duration grace);

  /// Exchanges `into` for what has come; returns by when the thread has to end, once that was said.
  std::optional<BootTime> take(std::vector<OutgoingBatch>& into);
  /// Returns when something has come, at the latest after `most`; nothing: whenever that is.
  void wait(std::optional<Duration> most) const;
  /// By when the thread has to end, once that was said.
  std::optional<BootTime> ends_by() const;
  /// Ends a wait(). Any thread, after open().
  void wake() const;

 private:
  const Clock& clock_;
  Descriptor wake_;
  mutable std::mutex mutex_;
  std::vector<OutgoingBatch> batches_;
  std::optional<BootTime> ends_by_;
};

}  // namespace tidegate::uplink
