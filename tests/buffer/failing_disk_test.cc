// Every file operation of a log's life fails once, or from there on: the log goes on or recovers by itself, and loses
// nothing that was durable.
#include "tests/buffer/scripted_life.h"

namespace tidegate::buffer {
namespace {

struct Failing {
  std::size_t times;
  ErrorCode code;
};

class FailingDiskTest : public ScriptedLife, public ::testing::WithParamInterface<Failing> {
 protected:
  void on_refused_open() override {
    if (++refused_ > 3) disk_.fail_never();
  }
  int refused_ = 0;
};

constexpr std::size_t kStride = tidegate::testing::of_many(1, 3);

constexpr std::size_t kForEver = SIZE_MAX / 2;
INSTANTIATE_TEST_SUITE_P(How, FailingDiskTest,
                         ::testing::Values(Failing{1, ErrorCode::retry}, Failing{1, ErrorCode::full},
                                           Failing{7, ErrorCode::retry}, Failing{kForEver, ErrorCode::retry},
                                           Failing{kForEver, ErrorCode::full}));

TEST_P(FailingDiskTest, LosesNothingDurableWhicheverOperationFails) {
  std::size_t nth = 0;
  for (bool reached = true; reached; nth += kStride) {
    begin();
    refused_ = 0;
    const std::size_t before = disk_.operations();
    disk_.fail_any(nth, GetParam().times, GetParam().code);
    live();
    reached = disk_.operations() - before > nth;
    check();
    ASSERT_FALSE(HasFailure()) << "operation " << nth;
  }
  RecordProperty("operations", static_cast<int>(nth));
  EXPECT_GT(nth, 200U);
}

}  // namespace
}  // namespace tidegate::buffer
