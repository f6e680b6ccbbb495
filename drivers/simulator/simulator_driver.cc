#include "drivers/simulator/simulator_driver.h"

#include <cmath>
#include <condition_variable>
#include <mutex>
#include <numbers>
#include <random>
#include <system_error>
#include <thread>
#include <utility>

#include "core/bounded_queue.h"

namespace tidegate::drivers {
namespace {

constexpr std::uint64_t kSeed = 20260101;  // fixed: two runs agree
constexpr std::size_t kRoundsWaitingMax = 64;
constexpr double kTurnsARound = 1.0 / 60.0;
constexpr double kNoise = 0.05;

class SimulatorDriver final : public Driver {
 public:
  SimulatorDriver(SimulatorOptions options, DriverContext context, std::vector<TagId> tags)
      : options_(std::move(options)),
        context_(std::move(context)),
        tags_(std::move(tags)),
        queue_(kRoundsWaitingMax, context_.wake) {}
  SimulatorDriver(const SimulatorDriver&) = delete;
  SimulatorDriver& operator=(const SimulatorDriver&) = delete;
  ~SimulatorDriver() override { stop(); }

  const std::string& name() const override { return options_.name; }

  Result<void> start() override {
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error& problem) {
      return fail(ErrorCode::retry, "thread of simulator " + options_.name + ": " + problem.what());
    }
    return {};
  }

  void stop() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    stopped_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  bool collect(Intake& into) override {
    queue_.take_all(rounds_);
    for (auto& round : rounds_) {
      into.readings.insert(into.readings.end(), std::make_move_iterator(round.begin()),
                           std::make_move_iterator(round.end()));
    }
    return false;
  }

  void settled() override {}

  DriverStatus status() const override {
    DriverStatus status;
    status.up = true;
    status.skipped = queue_.counters().refused;
    return status;
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    BootTime due = context_.clock->boot_now();
    while (!stopping_) {
      lock.unlock();
      // A full queue means that the core is held up: the round is left out and counted by the queue.
      queue_.try_push(make_round());
      lock.lock();
      due += options_.interval;
      const Duration wait = due - context_.clock->boot_now();
      stopped_.wait_for(lock, wait, [this] { return stopping_; });
    }
  }

  std::vector<Reading> make_round() {
    std::vector<Reading> round(tags_.size());
    const auto time = std::chrono::floor<std::chrono::milliseconds>(context_.clock->wall_now().time_since_epoch());
    for (std::size_t i = 0; i < tags_.size(); ++i) {
      const double phase = static_cast<double>(rounds_made_) * kTurnsARound + static_cast<double>(i) * 0.1;
      const double value = 50.0 + 40.0 * std::sin(2.0 * std::numbers::pi * phase) + noise_(random_);
      round[i].tag = tags_[i];
      round[i].time = WallTime(time);
      round[i].value = std::round(value * 100.0) / 100.0;
    }
    ++rounds_made_;
    return round;
  }

  SimulatorOptions options_;
  DriverContext context_;
  std::vector<TagId> tags_;
  BoundedQueue<std::vector<Reading>> queue_;
  std::vector<std::vector<Reading>> rounds_;  // of the core thread; keeps its capacity
  std::mt19937_64 random_{kSeed};
  std::normal_distribution<double> noise_{0.0, kNoise};
  std::uint64_t rounds_made_ = 0;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Driver>> make_simulator_driver(SimulatorOptions options, DriverContext context) {
  std::vector<TagId> tags;
  for (std::uint32_t device = 1; device <= options.devices; ++device) {
    for (std::uint32_t number = 1; number <= options.tags; ++number) {
      Tag tag;
      tag.path = options.name + "-" + std::to_string(device) + "/tag-" + std::to_string(number);
      tag.driver = options.name;
      tag.type = ValueType::float64;
      const auto id = context.tags->claim(tag);
      if (!id) return tl::unexpected(id.error());
      tags.push_back(*id);
    }
  }
  return std::make_unique<SimulatorDriver>(std::move(options), std::move(context), std::move(tags));
}

}  // namespace tidegate::drivers
