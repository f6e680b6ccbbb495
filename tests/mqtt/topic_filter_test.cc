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

TEST(Topic, AreSharedByAPrefixThatNoTopicHas) {
  EXPECT_TRUE(is_shared("$share/g/a/#"));
  EXPECT_FALSE(is_shared("$shared/g/a/#"));
  EXPECT_EQ(without_share("$share/g/a/#"), "a/#");
  EXPECT_EQ(without_share("$share/g//a"), "/a");
  EXPECT_EQ(without_share("a/b"), "a/b");
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

TEST(Topic, AFilterCoversWhatItMatchesAsAWhole) {
  struct Case {
    const char* wide;
    const char* narrow;
    bool covers;
  };
  const Case cases[] = {
      {"a/#", "a/#", true},    {"a/#", "a/b/+", true}, {"a/#", "a", true},      {"a/#", "#", false},
      {"a/#", "+/b", false},   {"a/+", "a/b", true},   {"a/+", "a/+", true},    {"a/+", "a/#", false},
      {"a/+", "a", false},     {"a/b", "a/b", true},   {"a/b", "a/+", false},   {"a/b", "a/b/c", false},
      {"a/b/c", "a/b", false}, {"#", "+/a/#", true},   {"#", "$SYS/a", false},  {"$SYS/#", "$SYS/a", true},
      {"a/+/c", "a/#", false}, {"+", "a", true},       {"+/+", "a/b/#", false},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(filter_covers(one.wide, one.narrow), one.covers) << one.wide << " and " << one.narrow;
  }
}

TEST(Topic, FiltersMeetWhereATopicMatchesBoth) {
  struct Case {
    const char* one;
    const char* other;
    bool meet;
  };
  const Case cases[] = {
      {"a/#", "a/b", true},      {"a/#", "b/#", false},  {"+/b", "a/+", true}, {"a/b", "a/b/#", true},
      {"a/b", "a/b/c", false},   {"a/+", "a/b/#", true}, {"#", "a", true},     {"#", "$SYS/a", false},
      {"a/+/c", "a/b/d", false}, {"a", "a/+", false},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(filters_meet(one.one, one.other), one.meet) << one.one << " and " << one.other;
    EXPECT_EQ(filters_meet(one.other, one.one), one.meet) << one.other << " and " << one.one;
  }
}

}  // namespace
}  // namespace tidegate::mqtt
