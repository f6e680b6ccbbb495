#include <filesystem>
#include <string>
#include <vector>

#include "core/log.h"
#include "mqtt/tls_client.h"
#include "mqtt/tls_files.h"
#include "tests/drivers/mqtt_listener_fixture.h"
#include "tests/support/test_authority.h"

namespace tidegate::drivers {
namespace {

/// Certificates of an authority that the test makes.
class MqttListenerTlsTest : public MqttListenerTest {
 protected:
  void SetUp() override {
    directory_.make_authority("ca");
    directory_.make_certificate("server", "ca", "IP:127.0.0.1");
    directory_.make_certificate("client", "ca", "IP:127.0.0.1");
    directory_.make_authority("other");
    directory_.make_certificate("stranger", "other", "IP:127.0.0.1");
    options_.tls.certificate = directory_ / "server.crt";
    options_.tls.key = directory_ / "server.key";
  }
  int publish_over_tls(const std::vector<std::string>& more) {
    auto command = publish_command("plant/d/t", "{\"v\":1}");
    command.insert(command.end(), {"--cafile", directory_ / "ca.crt"});
    command.insert(command.end(), more.begin(), more.end());
    return run(command);
  }
  // A client that would take any version and cipher.
  int shake_hands(const std::string& version) {
    return run({"/usr/bin/openssl", "s_client", "-connect", "127.0.0.1:" + std::to_string(options_.port), version,
                "-cipher", "DEFAULT@SECLEVEL=0"});
  }
  testing::TestAuthority directory_;
};

TEST_F(MqttListenerTlsTest, TakesMessagesOverTls) {
  start();
  EXPECT_EQ(publish_over_tls({}), 0) << errors_;
  EXPECT_EQ(publish_over_tls({"--tls-version", "tlsv1.2"}), 0) << errors_;
  EXPECT_THAT(values(), ElementsAre("d/t=1", "d/t=1"));
}

TEST_F(MqttListenerTlsTest, RefusesWhoSpeaksNoTlsOrAnOldOne) {
  start();
  ::testing::internal::CaptureStderr();
  set_up_logging(LogLevel::info);
  EXPECT_NE(run(publish_command("plant/d/t", "{\"v\":1}")), 0);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("the client speaks no TLS: it has to, or to use a port without"));
  EXPECT_NE(shake_hands("-tls1_1"), 0);
  EXPECT_THAT(driver_->status().refused, ElementsAre(Pair("tls_handshake", 2)));
  EXPECT_EQ(shake_hands("-tls1_2"), 0);
  EXPECT_EQ(publish_over_tls({}), 0) << errors_;
  EXPECT_THAT(values(), ElementsAre("d/t=1"));
}

TEST_F(MqttListenerTlsTest, AsksForAClientCertificateWhereThereIsAnAuthority) {
  options_.tls.client_ca = directory_ / "ca.crt";
  start();
  EXPECT_NE(publish_over_tls({}), 0);
  EXPECT_NE(publish_over_tls({"--cert", directory_ / "stranger.crt", "--key", directory_ / "stranger.key"}), 0);
  EXPECT_THAT(values(), IsEmpty());
  EXPECT_THAT(driver_->status().refused, ElementsAre(Pair("tls_handshake", 2)));
  EXPECT_EQ(publish_over_tls({"--cert", directory_ / "client.crt", "--key", directory_ / "client.key"}), 0) << errors_;
  EXPECT_THAT(values(), ElementsAre("d/t=1"));
}

// Who was let in once is looked at again: its certificate may have been revoked meanwhile.
TEST_F(MqttListenerTlsTest, NobodyGoesOnWithATlsSession) {
  options_.tls.client_ca = directory_ / "ca.crt";
  options_.limits.connect_timeout = std::chrono::seconds(4);  // the handshake has to fit, under a sanitizer too
  start();
  const std::string session = directory_ / "session";
  for (const std::string version : {"-tls1_2", "-tls1_3"}) {
    // What the server has to say comes until it ends the connection, because no CONNECT follows.
    EXPECT_EQ(
        run({"/usr/bin/openssl", "s_client", "-connect", "127.0.0.1:" + std::to_string(options_.port), version, "-cert",
             directory_ / "client.crt", "-key", directory_ / "client.key", "-ign_eof", "-sess_out", session}),
        0)
        << version << errors_;
    EXPECT_FALSE(std::filesystem::exists(session)) << version;
  }
}

TEST_F(MqttListenerTlsTest, ReadsItsCertificateAnewForNewConnections) {
  const auto replace = [&](const char* suffix) {
    std::filesystem::copy_file(directory_ / (std::string("stranger") + suffix),
                               directory_ / (std::string("server") + suffix),
                               std::filesystem::copy_options::overwrite_existing);
  };
  start();
  replace(".crt");
  const auto half_way = driver_->read_files_anew();
  ASSERT_FALSE(half_way) << "this is the certificate of another key";
  EXPECT_THAT(half_way.error().message, HasSubstr(options_.tls.key));
  EXPECT_EQ(publish_over_tls({}), 0) << "what was there before goes on: " << errors_;
  replace(".key");
  const auto read = driver_->read_files_anew();
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_NE(publish_over_tls({}), 0);
  EXPECT_EQ(publish_over_tls({"--cafile", directory_ / "other.crt"}), 0) << errors_;
  EXPECT_THAT(values(), ElementsAre("d/t=1", "d/t=1"));
}

TEST_F(MqttListenerTlsTest, AMessageLargerThanARecordComesWhole) {
  start();
  const std::string file = directory_ / "payload";
  testing::write_file(file, "{\"pad\":\"" + std::string(200'000, 'x') + "\",\"v\":3}");
  auto command = publish_command("plant/d/t", "");
  command.resize(command.size() - 2);
  command.insert(command.end(), {"-f", file, "--cafile", directory_ / "ca.crt"});
  EXPECT_EQ(run(command), 0) << errors_;
  EXPECT_THAT(values(), ElementsAre("d/t=3"));
}

TEST_F(MqttListenerTlsTest, AKeyThatDoesNotFitIsAnErrorThatNamesBoth) {
  options_.tls.key = directory_ / "client.key";
  DriverContext context;
  context.tags = &tags_;
  context.clock = &clock_;
  context.loop = &loop_;
  const auto made = make_mqtt_listener(options_, context);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("server.crt"));
}

// It would let nobody in, or everybody who asks nothing of it.
TEST_F(MqttListenerTlsTest, AListOfRevokedCertificatesIsNoAuthority) {
  const std::string list = directory_ / "list.pem";
  testing::write_file(directory_ / "index", "");
  testing::write_file(
      directory_ / "ca.cnf",
      "[ca]\ndefault_ca=own\n[own]\ndefault_md=sha256\ndefault_crl_days=1\ndatabase=" + (directory_ / "index") + "\n");
  testing::TestAuthority::openssl({"ca", "-config", directory_ / "ca.cnf", "-gencrl", "-keyfile", directory_.key("ca"),
                                   "-cert", directory_.certificate("ca"), "-out", list});
  const auto checked = mqtt::check_authorities(list);
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().message, HasSubstr("list.pem"));
  mqtt::TlsOptions client;
  client.ca_file = list;
  EXPECT_FALSE(mqtt::TlsClient::make(client));
  options_.tls.client_ca = list;
  DriverContext context;
  context.tags = &tags_;
  context.clock = &clock_;
  context.loop = &loop_;
  const auto made = make_mqtt_listener(options_, context);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("list.pem"));
}

TEST_F(MqttListenerTlsTest, AKeyWithAPassphraseIsAnErrorAndNoQuestion) {
  const std::string locked = directory_ / "locked.key";
  testing::TestAuthority::openssl(
      {"ec", "-in", directory_ / "server.key", "-aes128", "-passout", "pass:secret", "-out", locked});
  options_.tls.key = locked;
  DriverContext context;
  context.tags = &tags_;
  context.clock = &clock_;
  context.loop = &loop_;
  const auto made = make_mqtt_listener(options_, context);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("locked.key"));
  EXPECT_THAT(made.error().message, HasSubstr("no passphrase"));
}

}  // namespace
}  // namespace tidegate::drivers
