#include "core/file_system.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace tidegate {
namespace {

class PosixFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "tidegate-files-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  static std::span<const std::byte> bytes(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
  }

  PosixFileSystem files_;
  std::string directory_;
};

TEST_F(PosixFiles, WriteAtAnOffsetAndReadBackFewerAtTheEnd) {
  auto file = files_.open(path("a"), OpenMode::create).value();
  ASSERT_TRUE(file->reserve(300'000));
  EXPECT_EQ(file->size().value(), 300'000U);
  ASSERT_TRUE(file->write_at(100, bytes("hello")));
  std::array<std::byte, 5> back{};
  EXPECT_EQ(file->read_at(100, back).value(), 5U);
  EXPECT_EQ(std::memcmp(back.data(), "hello", 5), 0);
  EXPECT_EQ(file->read_at(299'998, back).value(), 2U);
  EXPECT_TRUE(file->sync());
  EXPECT_TRUE(files_.sync_directory(directory_));
}

TEST_F(PosixFiles, AreForTheirOwnerOnly) {
  files_.open(path("a"), OpenMode::create).value();
  struct stat status {};
  ASSERT_EQ(::stat(path("a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(PosixFiles, RefuseLinksDirectoriesAndPipes) {
  files_.open(path("real"), OpenMode::create).value();
  ASSERT_EQ(::symlink("real", path("link").c_str()), 0);
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  ASSERT_TRUE(files_.make_directory(path("dir")));
  for (const char* name : {"link", "pipe", "dir", "missing"}) {
    EXPECT_FALSE(files_.open(path(name), OpenMode::read)) << name;
  }
  EXPECT_FALSE(files_.open(path("real"), OpenMode::create));
  EXPECT_EQ(files_.list(directory_).value(), std::vector<std::string>{"real"});
}

TEST_F(PosixFiles, ErrorsNameTheFileAndTheReason) {
  const auto missing = files_.open(path("missing"), OpenMode::read);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("missing: No such file"), std::string::npos);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
}

// fdatasync tells nothing of it, and after a restart what was written would not be there.
TEST_F(PosixFiles, ThatWereRemovedAreNotSynced) {
  auto file = files_.open(path("a"), OpenMode::create).value();
  ASSERT_TRUE(file->write_at(0, bytes("abc")));
  ASSERT_TRUE(file->sync());
  std::filesystem::rename(path("a"), path("b"));
  EXPECT_TRUE(file->sync()) << "it is there, whatever its name";
  std::filesystem::remove(path("b"));
  const auto synced = file->sync();
  ASSERT_FALSE(synced);
  EXPECT_EQ(synced.error().code, ErrorCode::retry);
  EXPECT_NE(synced.error().message.find("a was removed"), std::string::npos) << synced.error().message;
}

TEST_F(PosixFiles, ThatWereCutAreNotSynced) {
  auto file = files_.open(path("a"), OpenMode::create).value();
  ASSERT_TRUE(file->reserve(1'000));
  ASSERT_TRUE(file->write_at(10, bytes("abc")));
  ASSERT_TRUE(file->sync());
  std::filesystem::resize_file(path("a"), 999);
  const auto synced = file->sync();
  ASSERT_FALSE(synced);
  EXPECT_NE(synced.error().message.find("cut to 999 bytes"), std::string::npos) << synced.error().message;
}

// Rights may be given back; whoever takes this for a wrong request gives up what he wants to write.
TEST_F(PosixFiles, RefusedRightsMayPass) {
  const auto refused = files_.open("/proc/self/status/none", OpenMode::create);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::invalid) << "a file on the way is no directory";
  const auto read_only = files_.open("/sys/tidegate", OpenMode::create);
  ASSERT_FALSE(read_only);
  EXPECT_EQ(read_only.error().code, ErrorCode::retry) << read_only.error().message;
}

}  // namespace
}  // namespace tidegate
