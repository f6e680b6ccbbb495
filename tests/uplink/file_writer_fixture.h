#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/log.h"
#include "tests/support/temporary_directory.h"
#include "uplink/file_writer.h"

namespace tidegate::uplink::testing {

/// A writer to files of a directory of its own, and batches for it.
class FileWriterFixture : public ::testing::Test {
 protected:
  FileWriterFixture() : path_(directory_ / "out.ndjson") {
    set_up_logging(LogLevel::error);  // the failures are made on purpose, hundreds of them
    restart();
  }

  void restart() { restart_at(path_); }
  void restart_at(const std::string& path, std::uint64_t rotate_bytes = 0) {
    options_.forwarder.name = "export";
    options_.path = path;
    options_.rotate_bytes = rotate_bytes;
    writer_ = std::make_unique<FileWriter>(options_, "plant-7");
  }

  // Readings from..to of epoch 3, sent at 2025-10-09T08:53:20Z and the given days later.
  OutgoingBatch batch(std::uint64_t from, std::uint64_t to, Stream stream = Stream::readings, int days = 0) {
    std::string payload = "{\"v\":1,\"sent\":" + std::to_string(1'760'000'000'000 + days * 86'400'000LL) + ",\"" +
                          to_string(stream) + "\":[";
    for (std::uint64_t i = from; i <= to; ++i) payload += (i == from ? "" : ",") + entry(i);
    OutgoingBatch batch;
    batch.id = from + 1;
    batch.stream = stream;
    batch.epoch = 3;
    batch.from = from;
    batch.to = to;
    batch.payload = std::make_shared<const std::string>(payload + "]}");
    return batch;
  }
  static std::string entry(std::uint64_t sequence) {
    return "{\"seq\":" + std::to_string(sequence) + ",\"tag\":\"a}{\\\"/x\",\"value\":1.0}";
  }
  static std::string lines(std::uint64_t from, std::uint64_t to, const std::string& stream = "readings") {
    std::string text;
    for (std::uint64_t i = from; i <= to; ++i) {
      text += "{\"gateway\":\"plant-7\",\"stream\":\"" + stream + "\",\"epoch\":3," + entry(i).substr(1) + "\n";
    }
    return text;
  }

  void write(const std::vector<OutgoingBatch>& batches) {
    done_.clear();
    writer_->write(batches, [this](std::uint64_t id, bool ok) { done_.emplace_back(id, ok); });
  }
  std::string text() const { return tidegate::testing::read_file(path_); }

  tidegate::testing::TemporaryDirectory directory_;
  std::string path_;
  FileUplinkOptions options_;
  std::unique_ptr<FileWriter> writer_;
  std::vector<std::pair<std::uint64_t, bool>> done_;
};

}  // namespace tidegate::uplink::testing
