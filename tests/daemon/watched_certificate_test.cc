#include "daemon/admin/watched_certificate.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <map>
#include <string>
#include <utility>

#include "mqtt/tls_client.h"
#include "tests/support/sanitized.h"
#include "tests/support/test_authority.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;

class WatchedCertificateTest : public ::testing::Test {
 protected:
  WatchedCertificateTest() {
    for (const char* name : {"one", "two"}) authority_.make_authority(name);
    install("one", "one");
    certificate_ = WatchedCertificate::make({authority_ / "shown.crt", authority_ / "shown.key", ""}).value();
  }

  // Into the same files.
  void install(const std::string& certificate, const std::string& key) {
    testing::write_file(authority_ / "shown.crt", testing::read_file(authority_.certificate(certificate)));
    testing::write_file(authority_ / "shown.key", testing::read_file(authority_.key(key)));
  }
  /// Whether a new connection is shown it.
  bool shows(const std::string& name) {
    auto server = certificate_->accept(now_).value();
    const auto trust = mqtt::TlsClient::make_for(authority_.certificate(name)).value();
    auto client = trust->connect("localhost").value();
    std::string to_server;
    std::string to_client;
    std::string ignored;
    bool is_good = client.receive("", ignored, to_server).has_value();
    for (int i = 0; i < 10 && is_good && !(client.is_ready() && server.is_ready()); ++i) {
      is_good = server.receive(std::exchange(to_server, ""), ignored, to_client).has_value() &&
                client.receive(std::exchange(to_client, ""), ignored, to_server).has_value();
    }
    return is_good && client.is_ready();
  }

  testing::TestAuthority authority_;
  std::unique_ptr<WatchedCertificate> certificate_;
  BootTime now_{1h};
};

TEST_F(WatchedCertificateTest, shows_what_the_files_hold_now) {
  EXPECT_TRUE(shows("one"));
  install("two", "two");
  EXPECT_TRUE(shows("two"));
  EXPECT_FALSE(shows("one"));
}

TEST_F(WatchedCertificateTest, goes_on_with_the_one_of_before_until_both_go_together) {
  install("two", "one");
  EXPECT_TRUE(shows("one"));
  install("two", "two");
  EXPECT_TRUE(shows("two"));
}

// OpenSSL would wait for who writes into a FIFO, and the core thread with it.
TEST_F(WatchedCertificateTest, waits_for_no_file_that_is_none) {
  for (const char* name : {"shown.crt", "shown.key"}) {
    const std::string path = authority_ / name;
    ASSERT_EQ(::unlink(path.c_str()), 0);
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    EXPECT_TRUE(shows("one"));
    ASSERT_EQ(::unlink(path.c_str()), 0);
    ASSERT_EQ(::symlink("/dev/zero", path.c_str()), 0);
    EXPECT_TRUE(shows("one"));
    ASSERT_EQ(::unlink(path.c_str()), 0);
    install("one", "one");
  }
  install("two", "two");
  EXPECT_TRUE(shows("two"));
}

// As by chmod and chown: neither content nor its time changes.
TEST_F(WatchedCertificateTest, looks_again_when_owner_or_mode_has_changed) {
  install("two", "one");
  EXPECT_TRUE(shows("one"));
  std::map<std::string, struct stat> before;
  for (const char* name : {"shown.crt", "shown.key"}) ASSERT_EQ(::stat((authority_ / name).c_str(), &before[name]), 0);
  install("two", "two");
  for (const auto& [name, status] : before) {
    const std::array times{status.st_atim, status.st_mtim};
    ASSERT_EQ(::utimensat(AT_FDCWD, (authority_ / name).c_str(), times.data(), 0), 0);
    struct stat after {};
    ASSERT_EQ(::stat((authority_ / name).c_str(), &after), 0);
    ASSERT_EQ(after.st_size, status.st_size);
    ASSERT_EQ(after.st_ino, status.st_ino);
  }
  EXPECT_TRUE(shows("two"));
}

TEST_F(WatchedCertificateTest, looks_again_after_a_while_when_it_could_not_read) {
  if (testing::kSanitized) return;  // which looks at memory by a pipe, and there is none here
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &usual), 0);
  install("two", "two");
  const rlimit none{0, usual.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const bool is_accepted = certificate_->accept(now_).has_value();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &usual), 0);
  EXPECT_TRUE(is_accepted);
  EXPECT_TRUE(shows("one"));
  now_ += WatchedCertificate::kLookAgainAfter;
  EXPECT_TRUE(shows("two"));
}

TEST_F(WatchedCertificateTest, looks_at_once_when_it_is_told_to) {
  if (testing::kSanitized) return;  // which looks at memory by a pipe, and there is none here
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &usual), 0);
  install("two", "two");
  const rlimit none{0, usual.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  certificate_->read_anew(now_);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &usual), 0);
  certificate_->read_anew(now_);
  EXPECT_TRUE(shows("two"));
}

}  // namespace
}  // namespace tidegate::daemon
