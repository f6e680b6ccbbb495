#include "tests/support/mosquitto_broker.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <stdexcept>

namespace tidegate::testing {
namespace {

using ::testing::HasSubstr;

TEST(MosquittoBroker, IsFoundAtTheSamePortAfterEveryKindOfEnd) {
  MosquittoBroker broker;
  broker.start();
  const auto port = broker.port();
  broker.stop();
  EXPECT_FALSE(broker.is_running());
  broker.start();
  broker.kill();
  broker.start();
  EXPECT_TRUE(broker.is_running());
  EXPECT_EQ(broker.port(), port);
}

TEST(MosquittoBroker, SaysWhyItDoesNotStart) {
  MosquittoBroker broker("no_such_option 1");
  try {
    broker.start();
    FAIL() << "started with a wrong configuration";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("no_such_option"));
  }
}

TEST(MosquittoBroker, PersistsWhenItIsStopped) {
  MosquittoBroker broker("persistence true\npersistence_location {dir}/");
  broker.start();
  broker.stop();
  EXPECT_TRUE(std::filesystem::exists(broker.directory() + "/mosquitto.db"));
}

TEST(MosquittoBroker, LeavesNothingBehind) {
  std::string directory;
  {
    MosquittoBroker broker;
    broker.start();
    directory = broker.directory();
    EXPECT_TRUE(std::filesystem::exists(directory));
  }
  EXPECT_FALSE(std::filesystem::exists(directory));
}

}  // namespace
}  // namespace tidegate::testing
