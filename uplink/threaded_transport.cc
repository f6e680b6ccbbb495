#include "uplink/threaded_transport.h"

#include <system_error>
#include <utility>

#include "uplink/sigpipe.h"

namespace tidegate::uplink {

ThreadedTransport::ThreadedTransport(std::string uplink, TransportHandlers handlers, const MakeWorker& make)
    : uplink_(std::move(uplink)), handlers_(std::move(handlers)), inbox_(clock_), worker_(make(inbox_)) {}

Result<void> ThreadedTransport::start() {
  if (auto opened = inbox_.open(); !opened) return opened;
  if (auto prepared = worker_->prepare(); !prepared) return prepared;
  try {
    thread_ = std::thread([this] {
      block_sigpipe();
      worker_->run();
    });
  } catch (const std::system_error& problem) {
    return fail(ErrorCode::retry, "thread of the uplink " + uplink_ + ": " + problem.what());
  }
  return {};
}

void ThreadedTransport::stop(Duration grace) {
  if (inbox_.end(grace) && thread_.joinable()) thread_.join();
}

void ThreadedTransport::send(const OutgoingBatch& batch) {
  if (!thread_.joinable() || !inbox_.put(batch)) handlers_.done(batch.id, false);
}

}  // namespace tidegate::uplink
