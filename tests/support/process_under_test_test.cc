#include "tests/support/process_under_test.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(ProcessUnderTest, GivesExitCodeAndBothOutputsApart) {
  const auto finished = run_to_end({"/bin/sh", "-c", "echo out; echo err >&2; exit 7"});
  EXPECT_EQ(finished.end.exit_code, 7);
  EXPECT_EQ(finished.output, "out\n");
  EXPECT_EQ(finished.errors, "err\n");
}

TEST(ProcessUnderTest, PassesTheEnvironmentOn) {
  const auto finished = run_to_end({"/bin/sh", "-c", "echo $TIDE"}, {{"TIDE", "low water"}});
  EXPECT_EQ(finished.output, "low water\n");
}

TEST(ProcessUnderTest, SaysWhichSignalEndedIt) {
  ProcessUnderTest process({{"/bin/sh", "-c", "kill -9 $$"}, {}, "", ""});
  const auto end = process.wait_for_end(seconds(5));
  ASSERT_TRUE(end.has_value());
  EXPECT_FALSE(end->exit_code.has_value());
  EXPECT_EQ(end->signal, SIGKILL);
}

TEST(ProcessUnderTest, RunsUntilItIsTold) {
  ProcessUnderTest process({{"/usr/bin/tail", "-f", "/dev/null"}, {}, "", ""});
  EXPECT_FALSE(process.wait_for_end(milliseconds(20)).has_value());
  EXPECT_TRUE(process.is_running());
  process.send_signal(SIGTERM);
  ASSERT_TRUE(process.wait_for_end(seconds(5)).has_value());
  EXPECT_FALSE(process.is_running());
}

TEST(ProcessUnderTest, MeasuresMemoryAndProcessorTime) {
  ProcessUnderTest process({{"/bin/sh", "-c", "while :; do :; done"}, {}, "", ""});
  EXPECT_TRUE(wait_until([&] { return process.cpu_time() >= milliseconds(50); }, seconds(20)));
  EXPECT_GT(process.resident_bytes(), 100'000u);
}

}  // namespace
}  // namespace tidegate::testing
