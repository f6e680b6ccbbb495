#include "drivers/mqtt/queue_file.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "tests/drivers/queue_fixture.h"

namespace tidegate::drivers {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class QueueFileTest : public QueueFixture {
 protected:
  void expect_set_aside(const char* why) {
    open();
    ASSERT_FALSE(remarks_.empty());
    EXPECT_THAT(remarks_[0].text, HasSubstr(why));
    EXPECT_EQ(remarks_[0].event, "queue-set-aside");
    EXPECT_THAT(file_names(), ElementsAre("test.queue", "test.queue.other-1"));
    EXPECT_THAT(take_all(), IsEmpty());
    EXPECT_EQ(push("fresh"), SharedQueue::Push::stored);
    EXPECT_THAT(take_all(), ElementsAre("fresh"));
  }
  void leave_a_message() {
    open();
    push("left");
    queue_.reset();
  }
};

TEST_F(QueueFileTest, AnotherBootsFileIsSetAside) {
  leave_a_message();
  options_.boot_id.fill(10);
  expect_set_aside("another boot");
}

TEST_F(QueueFileTest, AnotherBootsFileIsNoEventWhenNothingIsInIt) {
  open();
  queue_.reset();
  options_.boot_id.fill(10);
  open();
  ASSERT_EQ(remarks_.size(), 1U);
  EXPECT_THAT(remarks_[0].text, HasSubstr("nothing is in it"));
  EXPECT_EQ(remarks_[0].event, "");
}

TEST_F(QueueFileTest, WhatIsNoFileIsSetAside) {
  const std::string aside = options_.path + ".other-1";
  ASSERT_EQ(::mkdir(options_.path.c_str(), 0700), 0);
  expect_set_aside("no regular file");
  queue_.reset();
  std::filesystem::remove(options_.path);
  std::filesystem::remove(aside);
  ASSERT_EQ(::mkfifo(options_.path.c_str(), 0600), 0);
  expect_set_aside("no regular file");
  queue_.reset();
  std::filesystem::remove(options_.path);
  std::filesystem::remove(aside);
  ASSERT_EQ(::symlink("/dev/null", options_.path.c_str()), 0);
  expect_set_aside("no regular file");
}

TEST_F(QueueFileTest, AnotherLogsFileIsSetAside) {
  leave_a_message();
  options_.log_id.fill(8);
  expect_set_aside("another log");
}

TEST_F(QueueFileTest, EveryChangedByteOfTheHeaderIsNoticed) {
  for (std::uint64_t at = 0; at < 64; ++at) {
    std::filesystem::remove(options_.path);
    std::filesystem::remove(options_.path + ".other-1");
    leave_a_message();
    change_byte(at);
    SCOPED_TRACE(at);
    expect_set_aside("test.queue: it");
    queue_.reset();
  }
}

TEST_F(QueueFileTest, DamagedPositionsAreNoticed) {
  leave_a_message();
  change_byte(64 + 7);  // the head is now far beyond the tail
  expect_set_aside("positions are damaged");
}

TEST_F(QueueFileTest, AFileOfAnotherSizeIsSetAside) {
  std::ofstream(options_.path) << "not a queue";
  expect_set_aside("its size");
}

TEST_F(QueueFileTest, OnlyTheNewestTwoAreKeptAside) {
  for (std::uint8_t boot = 1; boot <= 6; ++boot) {
    options_.boot_id.fill(boot);
    leave_a_message();
  }
  EXPECT_THAT(file_names(), ElementsAre("test.queue", "test.queue.other-4", "test.queue.other-5"));
}

TEST_F(QueueFileTest, ALogThatIsAheadOfTheFileMakesANewOne) {
  open();
  push("a");
  take_all();
  QueueMark ahead = mark();
  ahead.position += 8;
  options_.marks = {ahead};
  expect_set_aside("more than it holds");
}

TEST_F(QueueFileTest, ASecondProcessIsTurnedAway) {
  open();
  std::vector<QueueRemark> remarks;
  const auto second = SharedQueue::open(
      options_, [] {}, remarks);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("in use by another process"));
}

TEST_F(QueueFileTest, ASizeThatCannotBeReservedIsAnError) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{4096, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  std::vector<QueueRemark> remarks;
  const auto opened = SharedQueue::open(
      options_, [] {}, remarks);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("test.queue"));
}

TEST_F(QueueFileTest, AMissingDirectoryIsAnError) {
  options_.path = directory_ + "/missing/test.queue";
  std::vector<QueueRemark> remarks;
  const auto opened = SharedQueue::open(
      options_, [] {}, remarks);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("missing/test.queue"));
}

TEST_F(QueueFileTest, AnotherSizeIsTakenWhenNothingWaits) {
  leave_a_message();
  options_.capacity_bytes = 128 * 1024;
  open();
  EXPECT_EQ(queue_->capacity(), 64U * 1024);
  EXPECT_THAT(remarks_, ElementsAre(Field(&QueueRemark::text, HasSubstr("keeps its size"))));
  EXPECT_THAT(take_all(), ElementsAre("left"));
  queue_->release();
  open();
  EXPECT_EQ(queue_->capacity(), 128U * 1024);
}

TEST_F(QueueFileTest, TheWholeFileIsReserved) {
  open();
  EXPECT_EQ(std::filesystem::file_size(options_.path), 4096U + 64U * 1024);
}

TEST_F(QueueFileTest, AMediumIsWarnedOf) {
  QueueFileOptions options = options_;
  options.path = "/var/tmp/tidegate-queue-test-" + std::to_string(::getpid());
  std::vector<QueueRemark> remarks;
  {
    auto opened = SharedQueue::open(
        options, [] {}, remarks);
    ASSERT_TRUE(opened) << opened.error().message;
  }
  std::filesystem::remove(options.path);
  EXPECT_THAT(remarks, ElementsAre(Field(&QueueRemark::text, HasSubstr("not a tmpfs"))));
}

}  // namespace
}  // namespace tidegate::drivers
