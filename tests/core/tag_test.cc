#include "core/tag.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace tidegate {
namespace {

Tag make_tag(std::string path, std::string driver) {
  Tag tag;
  tag.path = std::move(path);
  tag.driver = std::move(driver);
  return tag;
}

TEST(TagRegistry, GivesOnePathOneId) {
  TagRegistry tags;
  const TagId first = tags.claim(make_tag("boiler/temp", "line-1")).value();
  EXPECT_EQ(tags.claim(make_tag("boiler/temp", "line-1")).value(), first);
  EXPECT_EQ(tags.intern("boiler/temp"), first);
  EXPECT_EQ(tags.find("boiler/temp"), first);
  EXPECT_EQ(tags.find("boiler/other"), std::nullopt);
  EXPECT_EQ(tags.tag(first).path, "boiler/temp");
  EXPECT_EQ(tags.size(), 1U);
}

TEST(TagRegistry, RefusesASecondDriverAndNamesBoth) {
  TagRegistry tags;
  ASSERT_TRUE(tags.claim(make_tag("a/b", "one")));
  const auto refused = tags.claim(make_tag("a/b", "two"));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("\"one\""), std::string::npos);
  EXPECT_NE(refused.error().message.find("\"two\""), std::string::npos);
}

TEST(TagRegistry, LetsTheFirstDriverOwnWhatALogHadNamed) {
  TagRegistry tags;
  const TagId id = tags.intern("a/b");
  EXPECT_EQ(tags.claim(make_tag("a/b", "one")).value(), id);
  EXPECT_EQ(tags.tag(id).driver, "one");
  EXPECT_FALSE(tags.claim(make_tag("a/b", "two")));
}

TEST(TagRegistry, SurvivesManyThreadsAndChunks) {
  TagRegistry tags;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&tags] {
      for (int i = 0; i < 5000; ++i) {
        const std::string path = "d/" + std::to_string(i);
        ASSERT_EQ(tags.tag(tags.intern(path)).path, path);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(tags.size(), 5000U);
}

Tag tag_of(const std::string& driver, const std::string& unit) {
  Tag tag;
  tag.path = "boiler/temp";
  tag.driver = driver;
  tag.unit = unit;
  return tag;
}

TEST(TagRegistry, GivesATagToAnotherDriverWhenTheFirstIsGone) {
  TagRegistry tags;
  const TagId id = tags.claim(tag_of("line-1", "C")).value();
  EXPECT_FALSE(tags.claim(tag_of("line-2", "K")));
  tags.disown("line-1");
  EXPECT_EQ(tags.tag(id).driver, "line-1") << "until somebody else claims it";
  EXPECT_EQ(tags.claim(tag_of("line-2", "K")).value(), id);
  EXPECT_EQ(tags.tag(id).unit, "K");
  EXPECT_FALSE(tags.claim(tag_of("line-1", "C"))) << "it has an owner again";
  EXPECT_EQ(tags.size(), 1U);
}

TEST(TagRegistry, WhatSomebodyHoldsStaysWhileATagBecomesAnotherAndBack) {
  TagRegistry tags;
  const TagId id = tags.claim(tag_of("line-1", "C")).value();
  const Tag& celsius = tags.tag(id);
  tags.disown("line-1");
  ASSERT_TRUE(tags.claim(tag_of("line-1", "K")));
  const Tag& kelvin = tags.tag(id);
  EXPECT_EQ(celsius.unit, "C");
  for (int i = 0; i < 100; ++i) {
    tags.disown("line-1");
    ASSERT_TRUE(tags.claim(tag_of("line-1", i % 2 == 0 ? "C" : "K")));
    EXPECT_EQ(&tags.tag(id), i % 2 == 0 ? &celsius : &kelvin) << "and takes no more memory";
  }
}

TEST(TagPath, IsCheckedForWhatWouldConfuseTopicsAndGlobs) {
  for (const char* good : {"boiler/temp", "a", "Kessel/Größe", "a/b/c"}) EXPECT_TRUE(check_tag_path(good)) << good;
  for (const char* wrong : {"", "/a", "a/", "a//b", "a/+", "#", "a*", "a?b", "a\nb",
                            "a\xc2\x9b"
                            "b",
                            "\xff"}) {
    EXPECT_FALSE(check_tag_path(wrong)) << wrong;
  }
  EXPECT_FALSE(check_tag_path(std::string(256, 'x')));
}

}  // namespace
}  // namespace tidegate
