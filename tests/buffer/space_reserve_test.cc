// Real files on a real, small file system: what the reserve is for shows only there.
#include "buffer/space_reserve.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/small_disk.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::buffer {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

class SpaceReserveTest : public ::testing::Test {
 protected:
  /// Where nothing can be mounted there is no small disk to fill.
  bool has_disk() const {
    if (!disk_.problem().empty()) std::printf("not shown here: %s\n", disk_.problem().c_str());
    return disk_.problem().empty();
  }
  std::uint64_t held() const {
    struct stat status {};
    return ::stat(path_.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
  }

  testing::TemporaryDirectory directory_;
  testing::SmallDisk disk_{directory_ / "disk", 20 * kMiB};
  const std::string path_ = directory_ / "disk/reserve";
  SpaceReserve reserve_{path_};
};

TEST_F(SpaceReserveTest, HoldsWhatIsAskedFor) {
  if (!has_disk()) return;
  for (const std::uint64_t bytes : {4 * kMiB, 10 * kMiB, 3 * kMiB, std::uint64_t{0}}) {
    EXPECT_EQ(reserve_.set(bytes), bytes);
    EXPECT_EQ(held(), bytes);
  }
}

TEST_F(SpaceReserveTest, LeavesSomeForOthers) {
  if (!has_disk()) return;
  const auto most = reserve_.set(100 * kMiB);
  ASSERT_TRUE(most);
  EXPECT_LE(*most, 19 * kMiB);
  EXPECT_GT(*most, 18 * kMiB);
  EXPECT_EQ(reserve_.set(100 * kMiB), *most) << "asking again takes no more";
}

TEST_F(SpaceReserveTest, TakesNothingOfAFullDisk) {
  if (!has_disk()) return;
  ASSERT_TRUE(reserve_.set(kMiB));
  disk_.fill_up();
  EXPECT_EQ(reserve_.set(2 * kMiB), kMiB);
}

TEST_F(SpaceReserveTest, SaysWhereItCannotBeMade) {
  if (!has_disk()) return;
  SpaceReserve nowhere(directory_ / "missing/reserve");
  const auto held = nowhere.set(kMiB);
  ASSERT_FALSE(held);
  EXPECT_NE(held.error().message.find("missing/reserve"), std::string::npos);
  EXPECT_FALSE(nowhere.give(1));
}

TEST_F(SpaceReserveTest, AFullDiskTakesWhatWasReserved) {
  if (!has_disk()) return;
  ASSERT_EQ(reserve_.set(8 * kMiB), 8 * kMiB);
  disk_.fill_up();
  PosixFileSystem files;
  ReservingFileSystem reserving(files, reserve_);
  auto file = reserving.open(directory_ / "disk/file", OpenMode::create);
  ASSERT_TRUE(file) << file.error().message;
  const std::vector<std::byte> data(kMiB, std::byte{7});
  std::uint64_t written = 0;
  for (; written < 20; ++written) {
    if (auto done = (*file)->write_at(written * kMiB, data); !done) {
      EXPECT_EQ(done.error().code, ErrorCode::full);
      break;
    }
  }
  EXPECT_GE(written, 7U);
  EXPECT_LE(written, 8U);
  EXPECT_EQ(held(), 0U);
  auto another = reserving.open(directory_ / "disk/other", OpenMode::create);
  ASSERT_TRUE(another);
  EXPECT_EQ((*another)->reserve(2 * kMiB).error().code, ErrorCode::full);
}

TEST_F(SpaceReserveTest, GrowingAFileTakesWhatItNeedsAtOnce) {
  if (!has_disk()) return;
  ASSERT_EQ(reserve_.set(8 * kMiB), 8 * kMiB);
  disk_.fill_up();
  PosixFileSystem files;
  ReservingFileSystem reserving(files, reserve_);
  auto file = reserving.open(directory_ / "disk/file", OpenMode::create);
  ASSERT_TRUE(file);
  EXPECT_TRUE((*file)->reserve(4 * kMiB));
  EXPECT_GT(held(), 3 * kMiB);
}

}  // namespace
}  // namespace tidegate::buffer
