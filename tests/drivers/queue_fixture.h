#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "drivers/mqtt/shared_queue.h"

namespace tidegate::drivers {

/// A queue in a directory of its own, which goes with the test. In memory where the machine has /dev/shm.
class QueueFixture : public ::testing::Test {
 protected:
  QueueFixture() {
    const std::string base = std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp";
    std::string pattern = base + "/tidegate-queue-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    options_.path = directory_ + "/test.queue";
    options_.capacity_bytes = 64 * 1024;
    options_.log_id.fill(7);
    options_.boot_id.fill(9);
  }
  ~QueueFixture() override {
    queue_.reset();
    std::filesystem::remove_all(directory_);
  }

  void open() {
    queue_.reset();
    remarks_.clear();
    auto opened = SharedQueue::open(
        options_, [this] { ++wakes_; }, remarks_);
    ASSERT_TRUE(opened) << opened.error().message;
    queue_ = std::move(*opened);
  }
  SharedQueue::Push push(const std::string& payload) {
    return queue_->push({"t", payload, WallTime(Duration(1)), BootTime(Duration(2)), false, false});
  }
  std::vector<std::string> take_all() {
    std::vector<std::string> payloads;
    while (const auto entry = queue_->next()) payloads.emplace_back(entry->payload);
    return payloads;
  }
  QueueMark mark() const { return {queue_->queue_id(), queue_->position()}; }
  std::vector<std::string> file_names() const {
    std::vector<std::string> names;
    for (const auto& file : std::filesystem::directory_iterator(directory_)) names.push_back(file.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  void change_byte(std::uint64_t offset) {
    std::fstream file(options_.path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const auto before = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(before ^ 0x40));
  }

  std::string directory_;
  QueueFileOptions options_;
  std::unique_ptr<SharedQueue> queue_;
  std::vector<QueueRemark> remarks_;
  int wakes_ = 0;
};

}  // namespace tidegate::drivers
