#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "core/clock.h"
#include "uplink/transport.h"
#include "uplink/transport_inbox.h"

namespace tidegate::uplink {

/// What a ThreadedTransport does.
class TransportWorker {
 public:
  virtual ~TransportWorker() = default;
  /// On the thread that calls start(), before there is another. An error is that of start().
  virtual Result<void> prepare() = 0;
  /// On the thread, until the inbox says that it has to end. What it took from there is reported by then.
  virtual void run() = 0;
};

/// A worker on a thread of its own, which gets through an inbox what it has to do and when it has to end.
class ThreadedTransport final : public Transport {
 public:
  using MakeWorker = std::function<std::unique_ptr<TransportWorker>(TransportInbox& inbox)>;

  /// The worker ends before its inbox does.
  ThreadedTransport(std::string uplink, TransportHandlers handlers, const MakeWorker& make);
  ~ThreadedTransport() override { stop(Duration::zero()); }

  Result<void> start() override;
  void stop(Duration grace) override;
  void send(const OutgoingBatch& batch) override;

 private:
  const std::string uplink_;
  const TransportHandlers handlers_;
  const SystemClock clock_;
  TransportInbox inbox_;
  const std::unique_ptr<TransportWorker> worker_;
  std::thread thread_;
};

}  // namespace tidegate::uplink
