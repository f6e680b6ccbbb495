#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "mqtt/client.h"

namespace tidegate::mqtt {

/// Handlers that write down what they are told, and waits for it.
class ClientRecorder {
 public:
  ClientHandlers handlers() {
    ClientHandlers handlers;
    handlers.message = [this](std::string_view topic, std::string_view payload, bool retained, bool) {
      add([&] { messages_.push_back(std::string(topic) + (retained ? " retained " : " ") + std::string(payload)); });
      return true;
    };
    handlers.published = [this](std::uint64_t ticket, bool ok) {
      add([&] {
        published_.emplace_back(ticket, ok);
        ++reports_[ticket];
      });
    };
    handlers.link = [this](const LinkState& state) { add([&] { links_.push_back(state); }); };
    return handlers;
  }

  template <class Condition>
  bool wait_until(const Condition& holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), holds);
  }
  bool wait_until_up(std::size_t times = 1) {
    return wait_until([&] { return count_up() >= times; });
  }
  bool wait_until_it_is_up() {
    return wait_until([&] { return !links_.empty() && links_.back().up; });
  }
  bool wait_until_down(LinkProblem problem) {
    return wait_until([&] { return !links_.empty() && !links_.back().up && links_.back().problem == problem; });
  }
  bool wait_until_told_of_link(std::size_t times) {
    return wait_until([&] { return links_.size() >= times; });
  }
  bool wait_until_published(std::size_t count) {
    return wait_until([&] { return published_.size() >= count; });
  }
  bool wait_until_received(std::size_t count) {
    return wait_until([&] { return messages_.size() >= count; });
  }

  std::vector<std::string> messages() { return copy(messages_); }
  std::vector<std::pair<std::uint64_t, bool>> published() { return copy(published_); }
  std::map<std::uint64_t, int> reports() { return copy(reports_); }
  std::vector<LinkState> links() { return copy(links_); }

 private:
  std::size_t count_up() const {
    std::size_t count = 0;
    for (const LinkState& link : links_) count += link.up ? 1U : 0U;
    return count;
  }
  template <class Change>
  void add(const Change& change) {
    const std::lock_guard lock(mutex_);
    change();
    changed_.notify_all();
  }
  template <class T>
  T copy(const T& from) {
    const std::lock_guard lock(mutex_);
    return from;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> messages_;
  std::vector<std::pair<std::uint64_t, bool>> published_;
  std::map<std::uint64_t, int> reports_;
  std::vector<LinkState> links_;
};

}  // namespace tidegate::mqtt
