#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>

#include "tests/integration/admin_tls_rig.h"

namespace tidegate::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr int kWrongConfiguration = 78;

using AdminTlsShort = AdminTlsRig;
using AdminTlsTest = AdminTlsShort;

TEST_F(AdminTlsShort, LetsInWhoShowsTheTokenAndNobodyElse) {
  start();
  for (const char* path : {"/metrics", "/api/v1/status", "/api/v1/records", "/page.js"}) {
    EXPECT_THAT(ask(request("GET", path, "")),
                AllOf(StartsWith("HTTP/1.1 401 "), HasSubstr("WWW-Authenticate: Bearer"), HasSubstr("{\"error\":")))
        << path;
    EXPECT_THAT(get(path, kToken), StartsWith("HTTP/1.1 200 ")) << path;
  }
  EXPECT_THAT(get("/metrics", "wrong"), StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(ask(request("GET", "/metrics", bearer(kToken) + bearer(kToken))), StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(ask(request("GET", "/healthz", "")), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(gateway_.log(), AllOf(HasSubstr("a wrong token from 127.0.0.1"), HasSubstr("status page https://"),
                                    Not(HasSubstr(kToken))));
}

TEST_F(AdminTlsShort, ABrowserLogsInAndOut) {
  start();
  EXPECT_THAT(ask(request("GET", "/", "Accept: text/html\r\n")),
              AllOf(StartsWith("HTTP/1.1 303 "), HasSubstr("Location: /login\r\n")));
  EXPECT_THAT(ask(request("GET", "/login", "")), AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("type=\"password\"")));
  EXPECT_THAT(log_in("wrong"), AllOf(StartsWith("HTTP/1.1 401 "), HasSubstr("This is not the token")));
  const std::string answer = log_in(kToken);
  EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 303 "), HasSubstr("Set-Cookie: __Host-tidegate-"),
                            HasSubstr("; HttpOnly; SameSite=Strict; Secure")));
  const std::string cookie = cookie_of(answer);
  EXPECT_THAT(ask(request("GET", "/", "Accept: text/html\r\n" + cookie)), HasSubstr("<title>Tidegate</title>"));
  const std::string json = "Content-Type: application/json\r\n";
  EXPECT_THAT(ask(request("POST", "/api/v1/reload", json + cookie, "{}")), StartsWith("HTTP/1.1 403 "));
  const std::string own = json + "Sec-Fetch-Site: same-origin\r\n" + cookie;
  EXPECT_THAT(ask(request("POST", "/api/v1/reload", own, "{}")), StartsWith("HTTP/1.1 200 "));
  SecureConnection live(gateway_.admin_port(), ca());
  ASSERT_TRUE(live.handshake());
  live.send(request("GET", "/api/v1/live", cookie));
  EXPECT_TRUE(live.read_until("event: status")) << live.text();
  EXPECT_THAT(ask(request("POST", "/logout", own, "{}")), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(ask(request("GET", "/metrics", cookie)), StartsWith("HTTP/1.1 401 "));
  EXPECT_TRUE(live.read_to_end(seconds(10)));
}

TEST_F(AdminTlsShort, SpeaksNoOldTlsAndSaysSoToWhoSpeaksNone) {
  start();
  const std::string place = "127.0.0.1:" + std::to_string(gateway_.admin_port());
  const auto shake = [&](const std::string& version) {
    return run_to_end({"/usr/bin/openssl", "s_client", "-connect", place, version, "-cipher", "DEFAULT:@SECLEVEL=0",
                       "-CAfile", ca(), "-verify_return_error", "-brief"})
        .end.exit_code;
  };
  EXPECT_EQ(shake("-tls1_2"), 0);
  EXPECT_NE(shake("-tls1_1"), 0);
  EXPECT_NE(shake("-tls1"), 0);
  EXPECT_THAT(gateway_.log(), HasSubstr("no TLS with 127.0.0.1: TLS handshake: unsupported protocol"));
  const HttpReply plain = http_get(gateway_.admin_port(), "/api/v1/status");
  EXPECT_EQ(plain.status, 400);
  EXPECT_THAT(plain.body, HasSubstr("this address speaks TLS"));
}

TEST_F(AdminTlsShort, WhoStallsKeepsNobodyOut) {
  start();
  std::vector<int> stalled;
  for (int i = 0; i < 100; ++i) {
    stalled.push_back(connect_from("127.0.0.2", gateway_.admin_port()));
    if (i % 2 == 0) send_all(stalled.back(), std::string("\x16\x03\x01", 3));
  }
  for (int i = 0; i < 3; ++i) EXPECT_THAT(get("/api/v1/status", kToken), StartsWith("HTTP/1.1 200 "));
  SecureConnection kept(gateway_.admin_port(), ca());
  ASSERT_TRUE(kept.handshake());
  kept.send("GET /api/v1/live HTTP/1.1\r\nHost: h\r\n" + bearer(kToken) + "\r\n");
  ASSERT_TRUE(kept.read_until("event: status"));
  for (int i = 0; i < 50; ++i) stalled.push_back(connect_from("127.0.0.2", gateway_.admin_port()));
  EXPECT_THAT(get("/api/v1/status", kToken), StartsWith("HTTP/1.1 200 "));
  EXPECT_FALSE(kept.read_to_end(milliseconds(10)));
  for (const int socket : stalled) ::close(socket);
}

TEST_F(AdminTlsTest, AHandshakeThatStallsEnds) {
  start();
  const int socket = connect_to_loopback(gateway_.admin_port());
  send_all(socket, std::string("\x16\x03\x01", 3));
  pollfd ended{socket, POLLIN, 0};
  constexpr int kPatienceMilliseconds = 20'000;
  EXPECT_EQ(::poll(&ended, 1, kPatienceMilliseconds), 1);
  char byte = 0;
  EXPECT_LE(::recv(socket, &byte, 1, 0), 0);
  ::close(socket);
}

TEST_F(AdminTlsShort, WhoIsWrongTooOftenWaits) {
  start();
  for (int i = 0; i < 10; ++i) EXPECT_THAT(get("/metrics", "wrong-" + std::to_string(i)), StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(get("/metrics", kToken), AllOf(StartsWith("HTTP/1.1 429 "), HasSubstr("Retry-After: ")));
  EXPECT_THAT(log_in(kToken), StartsWith("HTTP/1.1 429 "));
  EXPECT_THAT(ask(request("GET", "/healthz", "")), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(lines_with(gateway_.log(), "a wrong token from").size(), 1U);
  EXPECT_THAT(gateway_.log(), Not(HasSubstr("wrong-")));
}

TEST_F(AdminTlsShort, CommandsShowTheTokenAndLookAtTheCertificate) {
  start();
  const std::string config = gateway_.config_file();
  const std::string here = "127.0.0.1:" + std::to_string(gateway_.admin_port());
  const auto by_file = run({"status", "--config", config, "--token-file", file("token")});
  EXPECT_EQ(by_file.end.exit_code, 0) << by_file.errors;
  EXPECT_THAT(by_file.output, HasSubstr("sim"));
  for (const std::vector<std::string>& command : {std::vector<std::string>{"status", "--json"},
                                                  {"top", "--count", "1"},
                                                  {"tail"},
                                                  {"alarms"},
                                                  {"deadletter", "ls"},
                                                  {"reload"},
                                                  {"check", "--against-running"}}) {
    std::vector<std::string> arguments = command;
    arguments.insert(arguments.end(), {"--config", config});
    const auto done = run(arguments, {{"TIDEGATE_TOKEN", kToken}});
    EXPECT_EQ(done.end.exit_code, 0) << command.front() << ": " << done.errors;
    const auto without = run(arguments);
    EXPECT_EQ(without.end.exit_code, 1) << command.front();
    EXPECT_THAT(without.errors, HasSubstr("401")) << command.front();
  }
  EXPECT_EQ(run({"status", "--admin", here, "--admin-ca", ca(), "--token-file", file("token")}).end.exit_code, 0);
  authority_.make_authority("other-ca");
  const auto wrong_authority =
      run({"status", "--admin", here, "--admin-ca", authority_.certificate("other-ca")}, {{"TIDEGATE_TOKEN", kToken}});
  EXPECT_EQ(wrong_authority.end.exit_code, 1);
  EXPECT_THAT(wrong_authority.errors, AllOf(HasSubstr("no TLS with " + here), HasSubstr("certificate")));
  EXPECT_THAT(run({"status", "--admin", here}, {{"TIDEGATE_TOKEN", kToken}}).errors,
              HasSubstr("this address speaks TLS"));
  EXPECT_THAT(run({"status", "--config", config}, {{"TIDEGATE_TOKEN", "two words"}}).errors,
              AllOf(HasSubstr("TIDEGATE_TOKEN has no token"), Not(HasSubstr("two words"))));
  EXPECT_THAT(run({"status", "--config", config, "--token-file", file("absent")}).errors, HasSubstr("absent"));
  // The certificate is another than that of the configuration, whose authority is the same.
  authority_.make_certificate("elsewhere", "ca", "IP:127.0.0.1");
  write_file(file("other.toml"), "[gateway]\nadmin = \"" + here + "\"\nadmin_tls = { cert = \"" +
                                     authority_.certificate("elsewhere") + "\", key = \"none\" }\n");
  EXPECT_THAT(run({"status", "--config", file("other.toml")}, {{"TIDEGATE_TOKEN", kToken}}).errors,
              HasSubstr("it has to show the certificate in " + authority_.certificate("elsewhere")));
}

TEST_F(AdminTlsShort, ShowsARenewedCertificateWithoutBeingTold) {
  start();
  authority_.make_authority("new-ca");
  authority_.make_certificate("renewed", "new-ca", "IP:127.0.0.1");
  // Half of it: what was before goes on.
  std::filesystem::copy_file(authority_.certificate("renewed"), file("gateway.crt"),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(get("/metrics", kToken), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(gateway_.log(), HasSubstr("goes on with the certificate of before"));
  install("renewed");
  const auto status = run({"status", "--config", gateway_.config_file(), "--token-file", file("token")});
  EXPECT_EQ(status.end.exit_code, 0) << status.errors;
  EXPECT_EQ(get("/metrics", kToken), "");
  SecureConnection connection(gateway_.admin_port(), authority_.certificate("new-ca"));
  EXPECT_TRUE(connection.handshake());
}

TEST_F(AdminTlsShort, AReloadTakesAnotherToken) {
  start();
  const std::string cookie = cookie_of(log_in(kToken));
  EXPECT_THAT(ask(request("GET", "/metrics", cookie)), StartsWith("HTTP/1.1 200 "));
  std::filesystem::rename(file("other-token"), file("token"));
  const auto reloaded = run({"reload", "--config", gateway_.config_file()}, {{"TIDEGATE_TOKEN", kToken}});
  EXPECT_EQ(reloaded.end.exit_code, 0) << reloaded.errors;
  EXPECT_THAT(reloaded.output + reloaded.errors, AllOf(HasSubstr("admin_token"), Not(HasSubstr("restart"))));
  EXPECT_THAT(get("/metrics", kToken), StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(get("/metrics", kOtherToken), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(ask(request("GET", "/metrics", cookie)), StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(run({"reload", "--config", gateway_.config_file()}, {{"TIDEGATE_TOKEN", kOtherToken}}).output,
              HasSubstr("nothing has changed"));
  EXPECT_THAT(gateway_.log(), AllOf(Not(HasSubstr(kToken)), Not(HasSubstr(kOtherToken))));
}

// Certificate and key stand beside the file: they are to be the same ones, however it was named at the start.
TEST_F(AdminTlsShort, AReloadOfAFileThatIsNamedFromWhereOneIsChangesNothing) {
  configure(both());
  const std::string place = "--chdir=" + gateway_.directory();
  ProcessUnderTest daemon({{"/usr/bin/env", place, program_path(), "run", "--config", "./tidegate.toml"}, {}, "", ""});
  ASSERT_TRUE(wait_until([&] { return daemon.errors().find("ready") != std::string::npos; }, std::chrono::seconds(20)))
      << daemon.errors();
  const auto reloaded = run({"reload", "--config", gateway_.config_file()}, {{"TIDEGATE_TOKEN", kToken}});
  EXPECT_THAT(reloaded.output + reloaded.errors, HasSubstr("nothing has changed"));
}

TEST_F(AdminTlsShort, StartsOnNoAddressThatOthersReachWithoutTokenAndTls) {
  for (const std::string& part : {std::string(), std::string("admin_token = { file = \"token\" }\n"),
                                  std::string("admin_tls = { cert = \"gateway.crt\", key = \"gateway.key\" }\n")}) {
    configure(part);
    const auto ran = run({"run", "--config", gateway_.config_file()});
    EXPECT_EQ(ran.end.exit_code, kWrongConfiguration);
    EXPECT_THAT(ran.errors, HasSubstr(gateway_.config_file() + ":5:"));
    EXPECT_THAT(ran.errors, HasSubstr("gateway.admin: is reached by other machines, and needs admin_"));
  }
  configure(both());
  EXPECT_EQ(run({"check", "--config", gateway_.config_file()}).end.exit_code, 0);
}

}  // namespace
}  // namespace tidegate::testing
