#include "uplink/avro/registered_transport.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "core/backoff.h"
#include "core/clock.h"
#include "core/log.h"
#include "uplink/avro/schema_registry.h"
#include "uplink/start_thread.h"

namespace tidegate::uplink {
namespace {

constexpr Duration kRetryAfterMost = std::chrono::minutes(5);

class RegisteredTransport final : public Transport {
 public:
  RegisteredTransport(AvroRegistration registration, TransportHandlers handlers)
      : registration_(std::move(registration)), handlers_(std::move(handlers)) {}
  ~RegisteredTransport() override { stop(Duration::zero()); }

  Result<void> start() override {
    const auto curl = CurlLibrary::get();
    if (!curl) return tl::unexpected(curl.error());
    if (auto checked = registration_.check(); !checked) return checked;
    registry_ = std::make_unique<SchemaRegistry>(**curl, registration_.registry);
    auto thread = start_thread(name(), [this] { run(); });
    if (!thread) return tl::unexpected(thread.error());
    thread_ = std::move(*thread);
    return {};
  }

  void stop(Duration grace) override {
    {
      const std::lock_guard lock(mutex_);
      is_ended_ = true;
      if (registry_) registry_->end();
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
    if (transport_) transport_->stop(grace);
  }

  void send(const OutgoingBatch& batch) override {
    Transport* transport = nullptr;
    {
      const std::lock_guard lock(mutex_);
      transport = transport_.get();
    }
    transport != nullptr ? transport->send(batch) : handlers_.done(batch.id, false);
  }

 private:
  const std::string& name() const { return registration_.forwarder.name; }

  void run() {
    Backoff pauses(registration_.forwarder.retry_first, registration_.forwarder.retry_most, std::random_device()());
    for (;;) {
      auto done = ask();
      if (done) done = make_transport();
      if (done) break;
      tell(done.error().message);
      if (!wait(std::max(pauses.next(), std::min(registry_->retry_after(), kRetryAfterMost)))) break;
    }
    const std::lock_guard lock(mutex_);
    registry_.reset();  // it is not needed any more
  }

  // All of them in one round: what was found in an earlier one may be of a registry that was made anew since.
  Result<void> ask() {
    for (const Stream stream : registration_.forwarder.streams) {
      const auto index = static_cast<std::size_t>(stream);
      const auto id = registry_->id_of(registration_.subjects[index], avro_schema(stream));
      if (!id) return tl::unexpected(id.error());
      ids_[index] = *id;
    }
    for (const Stream stream : registration_.forwarder.streams) {
      const auto index = static_cast<std::size_t>(stream);
      log_info("uplink " + name(), "the schema of {} has the id {} at the registry, subject {}", to_string(stream),
               ids_[index], registration_.subjects[index]);
    }
    return {};
  }

  Result<void> make_transport() {
    auto transport = registration_.make(ids_, handlers_);
    // A batch may come as soon as it says that the link is up.
    const std::lock_guard lock(mutex_);
    if (is_ended_) return {};
    if (auto started = transport->start(); !started) return started;
    transport_ = std::move(transport);
    return {};
  }

  void tell(const std::string& reason) {
    if (is_ended()) return;
    if (const auto left_out = complaints_.admit(reason, clock_.boot_now())) {
      log_warning("uplink " + name(), "{}; records wait in the log{}", reason, since_last_line(*left_out));
    }
    if (std::exchange(told_, reason) != reason) handlers_.link(false, reason);
  }

  // False when it has ended.
  bool wait(Duration pause) {
    std::unique_lock lock(mutex_);
    return !changed_.wait_for(lock, pause, [this] { return is_ended_; });
  }
  bool is_ended() const {
    const std::lock_guard lock(mutex_);
    return is_ended_;
  }

  const AvroRegistration registration_;
  const TransportHandlers handlers_;
  const SystemClock clock_;

  // The thread's.
  AvroSchemaIds ids_{};
  ComplaintFilter complaints_;
  std::string told_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool is_ended_ = false;
  std::unique_ptr<SchemaRegistry> registry_;
  std::unique_ptr<Transport> transport_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Transport> make_registered_transport(AvroRegistration registration, TransportHandlers handlers) {
  return std::make_unique<RegisteredTransport>(std::move(registration), std::move(handlers));
}

}  // namespace tidegate::uplink
