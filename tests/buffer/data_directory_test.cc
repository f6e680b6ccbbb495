#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "buffer/state_store.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::buffer {
namespace {

using ::testing::HasSubstr;
using testing::write_file;

class DataDirectoryTest : public ::testing::Test {
 protected:
  std::string refusal() {
    const auto opened = DataDirectory::open(path_);
    EXPECT_FALSE(opened);
    return opened ? "" : opened.error().message;
  }

  testing::TemporaryDirectory parent_;
  std::string path_ = parent_ / "data";
};

TEST_F(DataDirectoryTest, IsMadeForItsOwnerAlone) {
  ASSERT_TRUE(DataDirectory::open(path_));
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
}

TEST_F(DataDirectoryTest, IsRefusedWhileAnotherHoldsItAndNamesTheProcess) {
  auto first = DataDirectory::open(path_);
  ASSERT_TRUE(first);
  EXPECT_EQ(refusal(), path_ + " is in use by process " + std::to_string(::getpid()) +
                           "; stop it or give this one another gateway.data_dir");
}

TEST_F(DataDirectoryTest, IsFreeAgainWhenItsHolderIsGone) {
  { ASSERT_TRUE(DataDirectory::open(path_)); }
  auto again = DataDirectory::open(path_);
  ASSERT_TRUE(again);
  DataDirectory moved = std::move(*again);
  EXPECT_EQ(moved.path(), path_);
  EXPECT_THAT(refusal(), HasSubstr("is in use")) << "the lock moved along";
}

TEST_F(DataDirectoryTest, IsRefusedWhenItIsSomebodyElsesDirectory) {
  std::filesystem::create_directory(path_);
  write_file(path_ + "/letter.txt", "dear");
  EXPECT_THAT(refusal(), HasSubstr("is not a Tidegate data directory: it holds \"letter.txt\""));
  EXPECT_FALSE(std::filesystem::exists(path_ + "/lock"));
}

TEST_F(DataDirectoryTest, IsKnownByAnyOfItsFiles) {
  for (const char* name : {"tidegate.data", "lock", "state.db"}) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directory(path_);
    write_file(path_ + "/" + name, "");
    write_file(path_ + "/something", "");
    EXPECT_TRUE(DataDirectory::open(path_)) << name;
  }
}

TEST_F(DataDirectoryTest, MayBeTheRootOfAFreshFileSystem) {
  std::filesystem::create_directories(path_ + "/lost+found");
  EXPECT_TRUE(DataDirectory::open(path_));
}

TEST_F(DataDirectoryTest, IsRefusedWhenItIsAFile) {
  write_file(path_, "");
  EXPECT_THAT(refusal(), HasSubstr("is not a directory"));
}

TEST_F(DataDirectoryTest, NeedsItsParent) {
  path_ = parent_ / "no/such/data";
  EXPECT_THAT(refusal(), HasSubstr("its parent has to exist"));
}

TEST_F(DataDirectoryTest, IsRefusedWhenItBelongsToAnotherUser) {
  if (::geteuid() != 0) {
    path_ = "/";
    EXPECT_THAT(refusal(), HasSubstr("belongs to user 0"));
    return;
  }
  std::filesystem::create_directory(path_);
  ASSERT_EQ(::chown(path_.c_str(), 12345, 12345), 0);
  EXPECT_THAT(refusal(), HasSubstr("belongs to user 12345, this process runs as user 0"));
}

TEST_F(DataDirectoryTest, MovesAsideWhatIsInTheWayOfTheLockAndTheLog) {
  ASSERT_TRUE(DataDirectory::open(path_));
  std::filesystem::remove(path_ + "/lock");
  std::filesystem::create_directory(path_ + "/lock");
  write_file(path_ + "/log", "not ours");
  ASSERT_TRUE(DataDirectory::open(path_));
  EXPECT_TRUE(std::filesystem::is_directory(path_ + "/lock.foreign-1"));
  EXPECT_EQ(testing::read_file(path_ + "/log.foreign-1"), "not ours");
}

TEST_F(DataDirectoryTest, DoesNotFollowALinkInPlaceOfTheLock) {
  std::filesystem::create_directory(path_);
  std::filesystem::create_symlink(parent_ / "elsewhere", path_ + "/lock");
  EXPECT_THAT(refusal(), HasSubstr("lock"));
  EXPECT_FALSE(std::filesystem::exists(parent_ / "elsewhere"));
}

}  // namespace
}  // namespace tidegate::buffer
