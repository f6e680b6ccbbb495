// Every input of the corpus, those that once found something too, in every build and under its sanitizers.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "buffer/inspect.h"
#include "tests/fuzz/segment_image.h"
#include "tests/fuzz/targets.h"
#include "tests/support/in_memory_file_system.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::fuzz {
namespace {

std::vector<std::vector<std::uint8_t>> corpus(const std::string& name) {
  std::vector<std::vector<std::uint8_t>> inputs;
  for (const auto& entry : std::filesystem::directory_iterator(TIDEGATE_CORPUS "/" + name)) {
    const std::string content = testing::read_file(entry.path());
    inputs.emplace_back(content.begin(), content.end());
  }
  EXPECT_GE(inputs.size(), 4U) << "the corpus " << name << " is not there";
  return inputs;
}

std::uint64_t frames_in(const SegmentImage& image) {
  tidegate::testing::InMemoryFileSystem disk;
  const std::string directory = std::string("log/") + to_string(image.stream);
  (void)disk.make_directory("log");
  (void)disk.make_directory("log/readings");  // a log without it is none
  (void)disk.make_directory(directory);
  disk.set_content(directory + "/" + buffer::segment_name(1), image.file);
  const auto segments = buffer::inspect_log(disk, "log");
  return segments && !segments->empty() ? segments->front().frames : 0;
}

TEST(Corpus, SegmentInputsKeepThePromises) {
  for (const auto& input : corpus("segment")) read_segment(input);
}

TEST(Corpus, StateInputsKeepThePromises) {
  for (const auto& input : corpus("state")) load_state(input);
}

TEST(Corpus, MqttInputsKeepThePromises) {
  for (const auto& input : corpus("mqtt")) read_mqtt(input);
}

TEST(Corpus, PayloadInputsKeepThePromises) {
  for (const auto& input : corpus("payload")) read_payload(input);
}

TEST(Corpus, SparkplugInputsKeepThePromises) {
  for (const auto& input : corpus("sparkplug")) read_sparkplug(input);
}

// Without this a change of the format could leave the fuzzer in front of the checksums for ever.
TEST(Corpus, RepairedInputsReachTheDecoders) {
  std::size_t reached = 0;
  for (auto input : corpus("segment")) {
    if (input.size() < 1 + buffer::kBlockBytes + buffer::kFrameHeaderBytes + 32) continue;
    const std::uint64_t frames = frames_in(unpack_image(input));
    if (frames == 0) continue;
    input[1 + buffer::kBlockBytes + buffer::kFrameHeaderBytes] ^= 0xff;  // in the first body
    if (frames_in(unpack_image(input)) == frames) continue;              // a finding, whose first frame lies elsewhere
    repair_checksums(input);
    if (frames_in(unpack_image(input)) == frames) ++reached;
  }
  EXPECT_GE(reached, 6U);
}

}  // namespace
}  // namespace tidegate::fuzz
