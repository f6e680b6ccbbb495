#include "daemon/service_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/descriptor.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::daemon {
namespace {

using ::testing::HasSubstr;

class ServiceManagerTest : public ::testing::Test {
 protected:
  ~ServiceManagerTest() override { ::unsetenv("NOTIFY_SOCKET"); }
};

TEST_F(ServiceManagerTest, TellsWhoeverListens) {
  const testing::TemporaryDirectory folder;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = folder.path() + "/notify";
  ASSERT_LT(path.size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, path.data(), path.size());
  const Descriptor listener(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  ServiceManager().ready();
  std::array<char, 256> message{};
  ASSERT_GT(::recv(listener.get(), message.data(), message.size() - 1, 0), 0);
  EXPECT_THAT(message.data(), HasSubstr("READY=1"));
}

TEST_F(ServiceManagerTest, SaysOnceThatTheNameOfASocketIsTooLong) {
  ::setenv("NOTIFY_SOCKET", ("/run/" + std::string(200, 'x')).c_str(), 1);
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  const ServiceManager manager;
  manager.ready();
  manager.reloading();
  const std::string said = ::testing::internal::GetCapturedStdout() + ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr("NOTIFY_SOCKET has 205 bytes, the path of a socket at most 107"));
  EXPECT_EQ(said.find("NOTIFY_SOCKET"), said.rfind("NOTIFY_SOCKET"));
}

}  // namespace
}  // namespace tidegate::daemon
