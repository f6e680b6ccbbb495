#include <gtest/gtest.h>

#include "drivers/mqtt/message_decoder.h"

namespace tidegate::drivers {
namespace {

TEST(RefusalLine, SaysWhatAndWhere) {
  EXPECT_EQ(refusal_line(Refusal::value_missing, "/v", "a/b", "{}"),
            R"(value_missing (/v) on topic "a/b", payload "{}")");
  EXPECT_EQ(refusal_line(Refusal::no_such_topic, "", "a/b", "1"), R"(no_such_topic on topic "a/b", payload "1")");
}

}  // namespace
}  // namespace tidegate::drivers
