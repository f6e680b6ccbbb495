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
  void offer_answer(drivers::WriteAnswer answer) {
    drivers::Intake intake;
    intake.answers.push_back(std::move(answer));
    waiting_.push_back(std::move(intake));
  }
  /// Takes writes for the tag from here on, and keeps them in `orders`.
  void take_writes(TagId tag) { writable_.push_back(tag); }
  void refuse_writes(const std::string& why) { refusal_ = why; }
  std::vector<drivers::WriteOrder> orders;

  std::uint64_t settled_readings() const { return settled_; }
  std::size_t waiting() const { return waiting_.size(); }

  const std::string& name() const override { return name_; }
  Result<void> start() override { return {}; }
  void stop() override {}
  bool collect(drivers::Intake& into) override {
    if (waiting_.empty()) return false;
    into.readings = std::move(waiting_.front().readings);
    into.events = std::move(waiting_.front().events);
    into.answers = std::move(waiting_.front().answers);
    into.mark = waiting_.front().mark;
    waiting_.pop_front();
    collected_ += into.readings.size();
    return !waiting_.empty();
  }
  void settled() override { settled_ = collected_; }
  std::vector<TagId> writable() const override { return writable_; }
  Result<void> write(const drivers::WriteOrder& order) override {
    if (!refusal_.empty()) return fail(ErrorCode::invalid, refusal_);
    orders.push_back(order);
    return {};
  }
  drivers::DriverStatus status() const override { return {}; }

 private:
  std::string name_;
  std::deque<drivers::Intake> waiting_;
  std::vector<TagId> writable_;
  std::string refusal_;
  std::uint64_t collected_ = 0;
  std::uint64_t settled_ = 0;
};

}  // namespace tidegate::testing
