#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/bounded_queue.h"
#include "uplink/file_writer.h"
#include "uplink/start_thread.h"
#include "uplink/transport.h"

namespace tidegate::uplink {
namespace {

// A thread around a FileWriter. The link is always up: what the disk refuses fails batch by batch, and is told as
// trouble.
class FileTransport final : public Transport {
 public:
  FileTransport(FileUplinkOptions options, std::string gateway, TransportHandlers handlers)
      : name_(options.forwarder.name),
        path_(options.path),
        writer_(options, std::move(gateway)),
        handlers_(std::move(handlers)),
        queue_(std::max<std::size_t>(options.forwarder.inflight_max, 1) + kStreamCount) {}
  ~FileTransport() override { stop(Duration::zero()); }

  Result<void> start() override {
    if (auto checked = FileWriter::check_path(path_); !checked) return checked;
    auto thread = start_thread(name_, [this] { run(); });
    if (!thread) return tl::unexpected(thread.error());
    thread_ = std::move(*thread);
    handlers_.link(true, "");
    return {};
  }

  void stop(Duration grace) override {
    queue_.close();
    if (!thread_.joinable()) return;
    {
      std::unique_lock lock(mutex_);
      ended_.wait_for(lock, grace, [this] { return has_ended_; });
    }
    abandons_ = true;
    thread_.join();
  }

  void send(const OutgoingBatch& batch) override {
    if (!queue_.try_push(OutgoingBatch(batch))) handlers_.done(batch.id, false);
  }

 private:
  void run() {
    std::vector<OutgoingBatch> batches;
    for (queue_.wait_all(batches); !batches.empty(); queue_.wait_all(batches)) {
      if (abandons_) {
        for (const OutgoingBatch& batch : batches) handlers_.done(batch.id, false);
      } else {
        write(batches);
      }
    }
    const std::lock_guard lock(mutex_);
    has_ended_ = true;
    ended_.notify_all();
  }

  // Who hears that a batch is done has heard before whether there is trouble.
  void write(const std::vector<OutgoingBatch>& batches) {
    std::vector<std::pair<std::uint64_t, bool>> done;
    writer_.write(batches, [&](std::uint64_t id, bool ok) { done.emplace_back(id, ok); });
    if (writer_.trouble() != told_trouble_ && handlers_.trouble) {
      told_trouble_ = writer_.trouble();
      handlers_.trouble(told_trouble_);
    }
    for (const auto& [id, ok] : done) handlers_.done(id, ok);
  }

  const std::string name_;
  const std::string path_;
  std::string told_trouble_;  // the thread's
  FileWriter writer_;
  const TransportHandlers handlers_;
  BoundedQueue<OutgoingBatch> queue_;
  std::atomic<bool> abandons_ = false;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool has_ended_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Transport> make_file_transport(FileUplinkOptions options, std::string gateway,
                                               TransportHandlers handlers) {
  return std::make_unique<FileTransport>(std::move(options), std::move(gateway), std::move(handlers));
}

}  // namespace tidegate::uplink
