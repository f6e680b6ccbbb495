#include "uplink/threaded_transport.h"

#include <utility>

#include "uplink/start_thread.h"

namespace tidegate::uplink {

ThreadedTransport::ThreadedTransport(std::string uplink, TransportHandlers handlers, const MakeWorker& make)
    : uplink_(std::move(uplink)), handlers_(std::move(handlers)), inbox_(clock_), worker_(make(inbox_)) {}

Result<void> ThreadedTransport::start() {
  if (auto opened = inbox_.open(); !opened) return opened;
  if (auto prepared = worker_->prepare(); !prepared) return prepared;
  auto thread = start_thread(uplink_, [this] { worker_->run(); });
  if (!thread) return tl::unexpected(thread.error());
  thread_ = std::move(*thread);
  return {};
}

void ThreadedTransport::stop(Duration grace) {
  if (inbox_.end(grace) && thread_.joinable()) thread_.join();
}

void ThreadedTransport::send(const OutgoingBatch& batch) {
  if (!thread_.joinable() || !inbox_.put(batch)) handlers_.done(batch.id, false);
}

}  // namespace tidegate::uplink
