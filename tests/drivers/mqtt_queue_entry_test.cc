#include "drivers/mqtt/queue_entry.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tidegate::drivers {
namespace {

constexpr std::uint64_t kQueue = 0x1122334455667788ULL;
constexpr std::uint64_t kPosition = 4096;

QueueEntry sample_entry() {
  return {"plant/boiler/temp",
          R"({"v":21.5})",
          WallTime(Duration(1'760'000'000'123'456'789)),
          BootTime(Duration(42)),
          true,
          false};
}

std::vector<std::byte> written(const QueueEntry& entry) {
  std::vector<std::byte> bytes(QueueEntryCodec::bytes_of(entry));
  QueueEntryCodec(kQueue).write(bytes, kPosition, entry);
  return bytes;
}

TEST(QueueEntry, ComesBackAsItWas) {
  const auto bytes = written(sample_entry());
  const auto found = QueueEntryCodec(kQueue).read(bytes, kPosition);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->bytes, bytes.size());
  EXPECT_FALSE(found->is_filler);
  EXPECT_EQ(found->entry.topic, sample_entry().topic);
  EXPECT_EQ(found->entry.payload, sample_entry().payload);
  EXPECT_EQ(found->entry.received, sample_entry().received);
  EXPECT_EQ(found->entry.received_boot, sample_entry().received_boot);
  EXPECT_TRUE(found->entry.retained);
  EXPECT_FALSE(found->entry.duplicate);
}

TEST(QueueEntry, EmptyTopicAndPayloadAreAllowed) {
  const auto bytes = written({});
  const auto found = QueueEntryCodec(kQueue).read(bytes, kPosition);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->entry.topic.empty());
  EXPECT_TRUE(found->entry.payload.empty());
}

TEST(QueueEntry, EveryFlippedBitIsNoticed) {
  const QueueEntry entry = sample_entry();
  const std::size_t used = QueueEntryCodec::kHeaderBytes + entry.topic.size() + entry.payload.size();
  auto bytes = written(entry);
  for (std::size_t at = 0; at < used; ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      bytes[at] ^= std::byte{1} << bit;
      EXPECT_FALSE(QueueEntryCodec(kQueue).read(bytes, kPosition)) << "byte " << at << " bit " << bit;
      bytes[at] ^= std::byte{1} << bit;
    }
  }
  EXPECT_TRUE(QueueEntryCodec(kQueue).read(bytes, kPosition));
}

TEST(QueueEntry, EveryTruncationIsNoticed) {
  const auto bytes = written(sample_entry());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    // Memory of exactly that size, so that a sanitizer sees who reads behind it.
    const std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(QueueEntryCodec(kQueue).read(cut, kPosition)) << size;
  }
}

TEST(QueueEntry, ContentOfAnEarlierRoundOrAnotherQueueIsNotAnEntry) {
  const auto bytes = written(sample_entry());
  EXPECT_FALSE(QueueEntryCodec(kQueue).read(bytes, kPosition + 65'536));
  EXPECT_FALSE(QueueEntryCodec(kQueue + 1).read(bytes, kPosition));
}

TEST(QueueEntry, AFillerCoversWhatItWasGiven) {
  for (const std::size_t size : {32U, 40U, 1000U}) {
    std::vector<std::byte> bytes(size);
    QueueEntryCodec(kQueue).write_filler(bytes, kPosition);
    const auto found = QueueEntryCodec(kQueue).read(bytes, kPosition);
    ASSERT_TRUE(found) << size;
    EXPECT_TRUE(found->is_filler);
    EXPECT_EQ(found->bytes, size);
  }
}

}  // namespace
}  // namespace tidegate::drivers
