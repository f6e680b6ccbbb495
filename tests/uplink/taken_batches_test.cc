#include "uplink/taken_batches.h"

#include <gtest/gtest.h>

namespace tidegate::uplink {
namespace {

// A batch of one record of the tag, of so many bytes or a few more.
std::shared_ptr<const std::string> batch_of(Stream stream, const std::string& tag, std::size_t bytes) {
  return std::make_shared<const std::string>("{\"v\":1,\"sent\":1700000000000,\"" + std::string(to_string(stream)) +
                                             "\":[{\"seq\":1,\"tag\":\"" + tag + "\",\"value\":\"" +
                                             std::string(bytes, 'x') + "\"}]}");
}

/// How many batches of this size are kept at once.
std::size_t kept(Stream stream, std::size_t bytes) {
  constexpr std::size_t kBatches = 1000;
  TakenBatches taken(stream);
  for (std::size_t i = 0; i < kBatches; ++i) taken.add(batch_of(stream, "t" + std::to_string(i), bytes), 1);
  EXPECT_EQ(taken.count(), kBatches);
  std::size_t count = 0;
  while (count < kBatches && taken.newest_of("t" + std::to_string(kBatches - 1 - count))) ++count;
  return count;
}

TEST(TakenBatchesTest, KeepsTheNewestOfReadingsByTheirBytes) {
  EXPECT_EQ(kept(Stream::readings, 20'000), 6U);
  EXPECT_EQ(kept(Stream::readings, 1'000'000), 2U);
}

// One a minute would else take hours to be what it will be at the most.
TEST(TakenBatchesTest, KeepsFewOfDocumentsThatComeOneByOne) {
  for (const Stream stream : {Stream::alarms, Stream::events}) {
    EXPECT_EQ(kept(stream, 300), 65U) << to_string(stream);
    EXPECT_EQ(kept(stream, 100'000), 2U) << to_string(stream);
  }
}

TEST(TakenBatchesTest, CountsWhatABatchTakesBesideItsText) { EXPECT_LT(kept(Stream::readings, 1), 700U); }

}  // namespace
}  // namespace tidegate::uplink
