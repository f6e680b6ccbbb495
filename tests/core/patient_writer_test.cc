#include "core/patient_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <utility>

namespace tidegate {
namespace {

/// A pipe that holds four pages, and a writer into it.
class PatientWriterTest : public ::testing::Test {
 protected:
  PatientWriterTest() {
    EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0);
    EXPECT_GT(::fcntl(ends_[1], F_SETPIPE_SZ, 4 * 4096), 0);
  }
  PatientWriterTest(const PatientWriterTest&) = delete;
  PatientWriterTest& operator=(const PatientWriterTest&) = delete;
  ~PatientWriterTest() override {
    for (const int end : ends_) ::close(end);
  }

  std::string read() {
    std::string content(32 * 1024, '\0');
    const ssize_t count = ::read(ends_[0], content.data(), content.size());
    content.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
    return content;
  }

  std::array<int, 2> ends_{-1, -1};
};

TEST_F(PatientWriterTest, LeavesOutWhatNobodyReadsAndCounts) {
  PatientWriter writer(ends_[1]);
  const std::string line = std::string(100, 'x') + "\n";
  std::size_t written = 0;
  for (int i = 0; i < 1000; ++i) {
    if (!writer.has_room()) continue;
    writer.write(line);
    ++written;
  }
  EXPECT_GT(written, 50U);
  EXPECT_LT(written, 200U);
  EXPECT_EQ(read().size(), written * line.size()) << "no line is cut";
  EXPECT_TRUE(writer.has_room());
  EXPECT_EQ(writer.take_left_out(), 1000 - written);
  EXPECT_EQ(writer.take_left_out(), 0U);
}

TEST_F(PatientWriterTest, GoesOnWhenItsReaderIsGone) {
  const auto old = std::signal(SIGPIPE, SIG_IGN);
  ::close(std::exchange(ends_[0], -1));
  PatientWriter writer(ends_[1]);
  EXPECT_TRUE(writer.has_room());
  writer.write("to nobody\n");
  std::signal(SIGPIPE, old);
}

}  // namespace
}  // namespace tidegate
