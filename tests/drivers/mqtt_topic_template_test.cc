#include "drivers/mqtt/topic_template.h"

#include <gmock/gmock.h>

namespace tidegate::drivers {
namespace {

using ::testing::HasSubstr;

TopicTemplate parsed(const std::string& text) {
  auto topic = TopicTemplate::parse(text);
  if (!topic) throw std::invalid_argument(topic.error().message);
  return *topic;
}

TEST(TopicTemplate, MakesAFilterOfWildcards) {
  EXPECT_EQ(parsed("plant/{device}/{tag}").filter(), "plant/+/+");
  EXPECT_EQ(parsed("plant/{site}/x/{tag...}").filter(), "plant/+/x/#");
  EXPECT_EQ(parsed("{tag...}").filter(), "#");
  EXPECT_EQ(parsed("a/b").filter(), "a/b");
  EXPECT_EQ(parsed("/{tag}").filter(), "/+");
  EXPECT_EQ(parsed("$share/hall 1/plant/{device}/{tag...}").filter(), "$share/hall 1/plant/+/#");
  EXPECT_EQ(parsed("$share/g//{tag}").filter(), "$share/g//+");
  EXPECT_EQ(parsed("$shared/{tag}").filter(), "$shared/+");
}

TEST(TopicTemplate, FindsDeviceAndTagInATopic) {
  struct Row {
    const char* text;
    const char* topic;
    bool matches;
    const char* device;
    const char* tag;
  };
  const Row rows[] = {
      {"plant/{device}/{tag}", "plant/boiler/temp", true, "boiler", "temp"},
      {"plant/{device}/{tag}", "plant/boiler", false, "", ""},
      {"plant/{device}/{tag}", "plant/boiler/temp/x", false, "", ""},
      {"plant/{device}/{tag}", "plants/boiler/temp", false, "", ""},
      {"plant/{device}/{tag}", "plant//temp", false, "", ""},
      {"plant/{device}/{tag}", "plant/boiler/", false, "", ""},
      {"plant/{device}/{tag}", "", false, "", ""},
      {"plant/{device}/{tag...}", "plant/boiler/a", true, "boiler", "a"},
      {"plant/{device}/{tag...}", "plant/boiler/a/b/c", true, "boiler", "a/b/c"},
      {"plant/{device}/{tag...}", "plant/boiler", false, "", ""},
      {"plant/{device}/{tag...}", "plant/boiler/", false, "", ""},
      {"{site}/{device}/v", "north/pump/v", true, "pump", ""},
      {"{site}/{device}/v", "north/pump/w", false, "", ""},
      {"fixed/topic", "fixed/topic", true, "", ""},
      {"fixed/topic", "fixed/topi", false, "", ""},
      {"fixed/topic", "fixed", false, "", ""},
      {"{tag...}", "a/b", true, "", "a/b"},
      {"{tag...}", "$SYS/uptime", false, "", ""},
      {"$SYS/{tag...}", "$SYS/uptime", true, "", "uptime"},
      {"/{tag}", "/a", true, "", "a"},
      {"/{tag}", "a", false, "", ""},
      {"$share/g/plant/{device}/{tag}", "plant/boiler/temp", true, "boiler", "temp"},
      {"$share/g/plant/{device}/{tag}", "$share/g/plant/boiler/temp", false, "", ""},
      {"$share/g/{tag...}", "a/b", true, "", "a/b"},
      {"$share/g/{tag...}", "$SYS/uptime", false, "", ""},
  };
  for (const Row& row : rows) {
    const TopicTemplate topic = parsed(row.text);
    const auto names = topic.match(row.topic);
    ASSERT_EQ(names.has_value(), row.matches) << row.text << " and " << row.topic;
    if (!names) continue;
    EXPECT_EQ(names->device, row.device) << row.text << " and " << row.topic;
    EXPECT_EQ(names->tag, row.tag) << row.text << " and " << row.topic;
  }
}

TEST(TopicTemplate, SaysWhatItHas) {
  EXPECT_TRUE(parsed("{device}/x").has_device());
  EXPECT_FALSE(parsed("{device}/x").has_tag());
  EXPECT_TRUE(parsed("a/{tag...}").has_tag());
  EXPECT_FALSE(parsed("device/tag").has_device());
  EXPECT_TRUE(parsed("$share/g/{device}/x").has_device());
  EXPECT_TRUE(parsed("$share/g/{device}/x").is_shared());
  EXPECT_FALSE(parsed("{device}/x").is_shared());
}

TEST(TopicTemplate, RefusesWhatIsNoneAndSaysWhatWouldBe) {
  struct Row {
    const char* text;
    const char* words;
  };
  const Row rows[] = {{"", "1 to 65535 bytes"},
                      {"plant/+/x", "write {name}"},
                      {"plant/#", "{name...}"},
                      {"plant/dev{device}", "fills a whole level"},
                      {"plant/{device", "fills a whole level"},
                      {"plant/{}", "a name has letters"},
                      {"plant/{...}", "a name has letters"},
                      {"plant/{a b}", "a name has letters"},
                      {"plant/{rest...}/x", "only stand at the end"},
                      {"{tag}/{tag}", "twice"},
                      {"$share/", "$share/GROUP/TOPIC"},
                      {"$share/g", "$share/GROUP/TOPIC"},
                      {"$share/g/", "$share/GROUP/TOPIC"},
                      {"$share//plant/{tag}", "one character at the least"},
                      {"$share/g+/{tag}", "the group \"g+\""},
                      {"$share/#/{tag}", "the group \"#\""},
                      {"$share/{device}/{tag}", "the group \"{device}\""},
                      {"$share/g/plant/+", "write {name}"},
                      {"\xff/x", "UTF-8"}};
  for (const Row& row : rows) {
    const auto topic = TopicTemplate::parse(row.text);
    ASSERT_FALSE(topic) << row.text;
    EXPECT_EQ(topic.error().code, ErrorCode::invalid);
    EXPECT_THAT(topic.error().message, HasSubstr(row.words)) << row.text;
  }
}

}  // namespace
}  // namespace tidegate::drivers
