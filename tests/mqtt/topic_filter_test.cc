#include "mqtt/topic_filter.h"

#include <gtest/gtest.h>

namespace tidegate::mqtt {
namespace {

TEST(Topic, NamesAreNotEmptyAndHaveNoWildcard) {
  EXPECT_TRUE(is_topic_name("a"));
  EXPECT_TRUE(is_topic_name("/"));
  EXPECT_TRUE(is_topic_name("$SYS/x y"));
  EXPECT_FALSE(is_topic_name(""));
  EXPECT_FALSE(is_topic_name("a/+"));
  EXPECT_FALSE(is_topic_name("a#"));
}

TEST(Topic, FiltersHaveWildcardsOnlyAsWholeLevels) {
  for (const char* good : {"a", "/", "#", "+", "+/+", "a/#", "a/+/b", "/#", "$share/g/a/#", "$share/g/+"}) {
    EXPECT_TRUE(is_topic_filter(good)) << good;
  }
  for (const char* bad : {"", "a#", "a/#/b", "#/", "a+", "+a/b", "$share/g", "$share/g/", "$share//a", "$share/+/a"}) {
    EXPECT_FALSE(is_topic_filter(bad)) << bad;
  }
}

// The examples of section 4.7 among them.
TEST(Topic, FiltersMatchAsTheSpecificationSays) {
  struct Case {
    const char* filter;
    const char* topic;
    bool matches;
  };
  const Case cases[] = {
      {"sport/tennis/player1/#", "sport/tennis/player1", true},
      {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
      {"sport/#", "sport", true},
      {"#", "a/b/c", true},
      {"#", "$SYS/monitor", false},
      {"+/monitor/Clients", "$SYS/monitor/Clients", false},
      {"$SYS/#", "$SYS/monitor", true},
      {"sport/tennis/+", "sport/tennis/player1", true},
      {"sport/tennis/+", "sport/tennis/player1/ranking", false},
      {"sport/+", "sport", false},
      {"sport/+", "sport/", true},
      {"+/+", "/finance", true},
      {"/+", "/finance", true},
      {"+", "/finance", false},
      {"a/b", "a/b", true},
      {"a/b", "a/B", false},
      {"a/b", "a/b/", false},
      {"a/b/", "a/b", false},
      {"a/+/c", "a//c", true},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(filter_matches(one.filter, one.topic), one.matches) << one.filter << " and " << one.topic;
  }
}

}  // namespace
}  // namespace tidegate::mqtt
