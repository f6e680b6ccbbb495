#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "drivers/driver.h"

namespace tidegate::testing {

/// A driver that hands over what a test gives it, one intake a call, and counts what was settled.
class FakeDriver final : public drivers::Driver {
 public:
  explicit FakeDriver(std::string name) : name_(std::move(name)) {}

  void offer(std::vector<Reading> readings, std::optional<QueueMark> mark = {}) {
    drivers::Intake intake;
    intake.readings = std::move(readings);
    intake.mark = mark;
    waiting_.push_back(std::move(intake));
  }
  void offer_event(drivers::DriverEvent event) {
    drivers::Intake intake;
    intake.events.push_back(std::move(event));
    waiting_.push_back(std::move(intake));
  }
  std::uint64_t settled_readings() const { return settled_; }
  std::size_t waiting() const { return waiting_.size(); }

  const std::string& name() const override { return name_; }
  Result<void> start() override { return {}; }
  void stop() override {}
  bool collect(drivers::Intake& into) override {
    if (waiting_.empty()) return false;
    into.readings = std::move(waiting_.front().readings);
    into.events = std::move(waiting_.front().events);
    into.mark = waiting_.front().mark;
    waiting_.pop_front();
    collected_ += into.readings.size();
    return !waiting_.empty();
  }
  void settled() override { settled_ = collected_; }
  drivers::DriverStatus status() const override { return {}; }

 private:
  std::string name_;
  std::deque<drivers::Intake> waiting_;
  std::uint64_t collected_ = 0;
  std::uint64_t settled_ = 0;
};

}  // namespace tidegate::testing
