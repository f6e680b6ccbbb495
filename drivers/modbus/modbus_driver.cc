#include "drivers/modbus/modbus_driver.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <iterator>
#include <mutex>
#include <system_error>
#include <thread>
#include <unordered_map>

#include "core/bounded_queue.h"
#include "core/log.h"
#include "drivers/modbus/bus.h"
#include "drivers/modbus/libmodbus_link.h"
#include "drivers/modbus/value_encoder.h"
#include "drivers/modbus/write_queue.h"

namespace tidegate::drivers {
namespace {

constexpr std::size_t kBatchesMax = 256;  // waiting for the core: half a minute of a fast bus
constexpr std::size_t kReadingsACollect = 4096;
constexpr Duration kSkipPause = std::chrono::milliseconds(50);
constexpr Duration kWaitMax = std::chrono::hours(1);

// The bus with its thread and its queue to the core. The thread polls while the queue takes what it brings; while the
// core is held up it waits with the last batch in hand, and skips and counts the polls that are due.
class ModbusDriver final : public Driver {
 public:
  ModbusDriver(ModbusBusOptions options, DriverContext context, std::vector<TagId> ids,
               std::unique_ptr<ModbusLink> link)
      : options_(std::move(options)),
        context_(std::move(context)),
        ids_(std::move(ids)),
        link_(std::move(link)),
        status_(options_.devices),
        queue_(kBatchesMax, context_.wake) {
    std::uint32_t index = 0;
    for (const auto& device : options_.devices) {
      for (const auto& tag : device.tags) {
        if (tag.writable) writable_.emplace(ids_[index], WritableTag{index, make_value_format(tag)});
        ++index;
      }
    }
  }

  ~ModbusDriver() override { stop(); }

  const std::string& name() const override { return options_.name; }

  Result<void> start() override {
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error& error) {
      return fail(ErrorCode::retry, "thread of Modbus bus " + options_.name + ": " + error.what());
    }
    return {};
  }

  void stop() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    link_->interrupt();
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  bool collect(Intake& into) override {
    if (taken_next_ == taken_.size()) refill();
    while (taken_next_ < taken_.size() && into.readings.size() < kReadingsACollect) {
      hand_over(taken_[taken_next_++], into);
    }
    return taken_next_ < taken_.size() || has_left_over();
  }

  void settled() override {}  // nobody to acknowledge to

  std::vector<TagId> writable() const override {
    std::vector<TagId> tags;
    for (const auto& [id, tag] : writable_) tags.push_back(id);
    return tags;
  }

  Result<void> write(const WriteOrder& order) override {
    const auto found = writable_.find(order.tag);
    if (found == writable_.end()) return fail(ErrorCode::invalid, "the tag is not writable = true");
    auto words = encode_value(found->second.format, order.value);
    if (!words) return tl::unexpected(words.error());
    const BootTime until = context_.clock->boot_now() + kWriteWaitMost;
    if (!writes_.push({order.id, found->second.index, std::move(*words), until})) {
      return fail(ErrorCode::full, std::to_string(WriteQueue::kMost) + " writes wait for bus " + options_.name +
                                       ", or it is being stopped");
    }
    {
      const std::lock_guard lock(mutex_);  // so that the bus thread is not between its look and its wait
    }
    changed_.notify_all();
    return {};
  }

  DriverStatus status() const override {
    DriverStatus status = status_.snapshot();
    status.queue_bytes = queued_readings_.load(std::memory_order_relaxed) * sizeof(Reading);
    status.queue_capacity_bytes = kBatchesMax * kRegistersMax * sizeof(Reading);
    return status;
  }

 private:
  struct WritableTag {
    std::uint32_t index = 0;  // among the tags of the bus
    ValueFormat format;
  };

  void run() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    pthread_setname_np(pthread_self(), "modbus");
    Bus bus(options_, ids_, *link_, *context_.clock, status_, writes_);
    BusBatch batch;
    bool going_on = true;
    while (going_on) {
      const BootTime next = bus.step(batch);
      going_on = (batch.empty() || deliver(bus, batch)) && wait_until(next);
    }
    link_->close();
    for (const BusWrite& write : writes_.close()) {
      batch.answers.push_back({write.id, WriteResult::refused, "the gateway stops"});
    }
    left_over_ = std::move(batch);
  }

  // Waits for room as long as it takes, polls skipped. False, and `batch` kept, when the driver is to stop.
  bool deliver(Bus& bus, BusBatch& batch) {
    const std::size_t readings = batch.readings.size();
    queued_readings_.fetch_add(readings, std::memory_order_relaxed);
    bool told = false;
    for (;;) {
      {
        const std::lock_guard lock(mutex_);
        has_room_ = false;
      }
      // A push that is refused leaves the batch as it was.
      if (queue_.try_push(std::move(batch))) break;  // NOLINT(bugprone-use-after-move)
      if (!told) log_warning(options_.name, "{} batches of readings wait to be logged; polls are skipped", kBatchesMax);
      told = true;
      if (!wait_for_room(bus)) return false;
    }
    batch = BusBatch();
    return true;
  }

  // False when the driver is to stop.
  bool wait_for_room(Bus& bus) {
    for (;;) {
      const Duration until_due = bus.skip() - context_.clock->boot_now();
      const Duration wait = std::clamp<Duration>(until_due, kSkipPause, kWaitMax);
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, wait, [this] { return stopping_ || has_room_; })) return !stopping_;
    }
  }

  bool wait_until(BootTime next) {
    const Duration wait = std::min(next - context_.clock->boot_now(), kWaitMax);
    std::unique_lock lock(mutex_);
    if (wait > Duration::zero()) changed_.wait_for(lock, wait, [this] { return stopping_ || !writes_.empty(); });
    return !stopping_;
  }

  // What the thread could not put into the queue, and answers of writes that waited: ours when it has ended.
  bool has_left_over() const { return !thread_.joinable() && !left_over_.empty(); }

  void refill() {
    taken_next_ = 0;
    queue_.take_all(taken_);
    if (taken_.empty()) {
      if (has_left_over()) taken_.push_back(std::exchange(left_over_, {}));
      return;
    }
    {
      const std::lock_guard lock(mutex_);
      has_room_ = true;
    }
    changed_.notify_all();
  }

  void hand_over(BusBatch& batch, Intake& into) {
    queued_readings_.fetch_sub(batch.readings.size(), std::memory_order_relaxed);
    std::move(batch.readings.begin(), batch.readings.end(), std::back_inserter(into.readings));
    std::move(batch.events.begin(), batch.events.end(), std::back_inserter(into.events));
    std::move(batch.answers.begin(), batch.answers.end(), std::back_inserter(into.answers));
    batch = BusBatch();
  }

  const ModbusBusOptions options_;
  const DriverContext context_;
  const std::vector<TagId> ids_;
  const std::unique_ptr<ModbusLink> link_;
  std::unordered_map<TagId, WritableTag> writable_;
  WriteQueue writes_;
  BusStatus status_;
  BoundedQueue<BusBatch> queue_;
  std::atomic<std::uint64_t> queued_readings_{0};
  std::thread thread_;
  BusBatch left_over_;  // the bus thread's until it has ended

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  bool has_room_ = false;

  // The core thread's.
  std::vector<BusBatch> taken_;
  std::size_t taken_next_ = 0;
};

Result<std::vector<TagId>> claim_tags(const ModbusBusOptions& options, TagRegistry& registry) {
  std::vector<TagId> ids;
  for (const auto& device : options.devices) {
    for (const auto& tag : device.tags) {
      Tag claimed;
      claimed.path = device.name + "/" + tag.name;
      claimed.driver = options.name;
      claimed.type = value_type(make_value_format(tag));
      claimed.unit = tag.unit;
      claimed.deadband = tag.deadband;
      const auto id = registry.claim(claimed);
      if (!id) return tl::unexpected(id.error());
      ids.push_back(*id);
    }
  }
  return ids;
}

}  // namespace

Result<std::unique_ptr<Driver>> make_modbus_driver(ModbusBusOptions options, DriverContext context) {
  if (auto checked = check_modbus_bus(options); !checked) return tl::unexpected(checked.error());
  auto link = make_libmodbus_link(options, *context.clock);
  if (!link) return tl::unexpected(link.error());
  auto ids = claim_tags(options, *context.tags);
  if (!ids) return tl::unexpected(ids.error());
  return std::make_unique<ModbusDriver>(std::move(options), std::move(context), std::move(*ids), std::move(*link));
}

}  // namespace tidegate::drivers
