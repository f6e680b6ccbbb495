#include <gmock/gmock.h>

#include "tests/daemon/config_fixture.h"
#include "tests/support/tls_texts.h"

namespace tidegate::daemon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kToken = "admin_token = { file = \"admin-token\" }\n";
constexpr const char* kTls = "admin_tls = { cert = \"gateway.pem\", key = { file = \"gateway.key\" } }\n";
constexpr const char* kGoodToken = "q7Lx0pWz4Rk2Vn8s";

/// Who may come to the admin address, and how.
class ConfigAdminTest : public ConfigTest {
 protected:
  ConfigAdminTest() {
    write("gateway.pem", testing::tls_texts().certificate);
    write("gateway.key", testing::tls_texts().key);
    write("other.key", testing::tls_texts().other_key);
    write("admin-token", std::string(kGoodToken) + "\n");
  }
  static std::string gateway(const std::string& address, const std::string& more) {
    return "[gateway]\nadmin = \"" + address + "\"\n" + more;
  }
  std::string problem_of_token(const std::string& token) {
    write("admin-token", token + "\n");
    return only_problem(gateway("127.0.0.1:1", kToken));
  }
};

TEST_F(ConfigAdminTest, an_address_that_others_reach_needs_token_and_tls) {
  for (const char* address : {"0.0.0.0:80", "10.0.0.1:80", "[::]:80", "[2001:db8::1]:80", "example.com:80"}) {
    EXPECT_THAT(only_problem(gateway(address, "")),
                AllOf(StartsWith("2 gateway.admin: is reached by other machines"), HasSubstr("admin_token = { file"),
                      HasSubstr(" and admin_tls = { cert"), HasSubstr(address), HasSubstr("127.0.0.1:8480")));
    EXPECT_THAT(only_problem(gateway(address, kToken)),
                AllOf(HasSubstr("needs admin_tls = {"), Not(HasSubstr("admin_token"))));
    EXPECT_THAT(only_problem(gateway(address, kTls)),
                AllOf(HasSubstr("needs admin_token = {"), Not(HasSubstr("admin_tls"))));
    const Config config = load_good(gateway(address, std::string(kToken) + kTls));
    EXPECT_EQ(config.gateway.admin_token, kGoodToken);
    EXPECT_EQ(config.gateway.admin_tls.certificate, path("gateway.pem"));
    EXPECT_EQ(config.gateway.admin_tls.key, path("gateway.key"));
  }
}

TEST_F(ConfigAdminTest, loopback_may_have_either_and_a_unix_socket_a_token) {
  for (const std::string& more : {std::string(kToken), std::string(kTls), std::string(kToken) + kTls}) {
    load_good(gateway("127.0.0.1:80", more));
    load_good("[gateway]\n" + more);
  }
  load_good(gateway("unix:/run/a.sock", kToken));
  EXPECT_THAT(only_problem(gateway("unix:/run/a.sock", kTls)),
              StartsWith("3 gateway.admin_tls: does not go with a Unix socket"));
}

TEST_F(ConfigAdminTest, a_token_that_others_could_guess_or_no_header_can_hold_is_refused_and_not_shown) {
  for (const std::string& token : {std::string("hunter2"), std::string(600, 'h') + "unter2", std::string(40, 'h'),
                                   std::string("hunter2 hunter2 hunter2"), std::string("hunter2-changeme-hunter2"),
                                   std::string("Password-hunter2-91x"), std::string("h\xC3\xBCnter2-hunter2-91x")}) {
    EXPECT_THAT(problem_of_token(token),
                AllOf(StartsWith("3 gateway.admin_token: " + path("admin-token") + ": the token must"),
                      HasSubstr("openssl rand"), Not(HasSubstr("hunter2")), Not(HasSubstr("nter2"))))
        << token;
  }
  EXPECT_THAT(problem_of_token("hunter2"), HasSubstr("16 to 512 characters, found 7;"));
  EXPECT_THAT(only_problem(gateway("127.0.0.1:1", "admin_token = \"hunter2\"\n")),
              AllOf(HasSubstr("is a secret and must not be written here"), Not(HasSubstr("hunter2"))));
}

TEST_F(ConfigAdminTest, its_certificate_and_key_belong_together) {
  EXPECT_THAT(only_problem(gateway("127.0.0.1:1", "admin_tls = { cert = \"gateway.pem\", key = \"other.key\" }\n")),
              AllOf(StartsWith("3 gateway.admin_tls.key: "), HasSubstr("is not the key of the certificate")));
  EXPECT_THAT(only_problem(gateway("127.0.0.1:1", "admin_tls = { cert = \"gateway.pem\" }\n")),
              StartsWith("3 gateway.admin_tls.key: is missing"));
  EXPECT_THAT(only_problem(gateway("127.0.0.1:1", "admin_tls = { key = \"gateway.key\" }\n")),
              StartsWith("3 gateway.admin_tls.cert: is missing"));
  EXPECT_THAT(only_problem(gateway("127.0.0.1:1", "admin_tls = { cert = \"gateway.key\", key = \"gateway.key\" }\n")),
              StartsWith("3 gateway.admin_tls.cert: "));
}

// Who calls tidegate status need not be who may read them.
TEST_F(ConfigAdminTest, commands_find_the_address_without_the_secrets) {
  write("tidegate.toml", gateway("0.0.0.0:80",
                                 "admin_token = { file = \"absent\" }\nadmin_tls = { cert = \"absent.pem\", "
                                 "key = { credential = \"none\" } }\n"));
  const auto options = load_gateway_options(path("tidegate.toml"));
  ASSERT_TRUE(options) << all(options.error());
  EXPECT_EQ(options->admin.port, 80);
  EXPECT_EQ(options->admin_tls.certificate, path("absent.pem"));
  EXPECT_EQ(options->admin_token, "");
}

}  // namespace
}  // namespace tidegate::daemon
